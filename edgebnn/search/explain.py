"""What each layer of a model is, why, what it costs, and what a change would bring, with the planner's bytes and the
cost model's cycles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edgebnn import models
from edgebnn.converters import load_model
from edgebnn.errors import ModelError
from edgebnn.estimate.cost import TABLES
from edgebnn.estimate.planned import plan_cost
from edgebnn.passes import lower
from edgebnn.plan import Plan
from edgebnn.plan.cost_report import weight_dtype
from edgebnn.plan.geometry import params_bytes
from edgebnn.search.cost import cost_of_arch, plan_of
from edgebnn.train.quantizers import weight_quantizer

_KIND = {
    "s8": "INT8",
    "binary": "binary",
    "ternary": "ternary",
    "two_plane": "2-bit",
    "sum": "several bases",
    "float": "float",
}
_ACT = {"b1": "1-bit", "u2": "2-bit", "u3": "3-bit", "u4": "4-bit", "s8": "8-bit", "float": "float"}

#: cheaper settings of a block that are tried, by its weights' kind
_CHEAPER: dict[str, tuple[dict[str, str], ...]] = {
    "s8": ({"weight": "binary", "act": "lsq:2"}, {"weight": "twn", "act": "lsq:2"}),
    "ternary": ({"weight": "binary"}, {"act": "lsq:2"}),
    "two_plane": ({"weight": "binary"}, {"act": "lsq:2"}),
    "sum": ({"weight": "binary"},),
    "binary": ({"act": "lsq:2"}, {"act": "sign", "padding": "one"}),
}


@dataclass(frozen=True)
class Layer:
    """One layer. ``precision``: of its weights and inputs; ``bytes`` of weights and constants and ``cycles`` are None
    for a layer that does not convert.
    """

    name: str
    precision: str
    why: str
    bytes: int | None = None
    cycles: int | None = None
    kernel: str = ""
    change: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Explanation:
    """All layers, in order; ``cycles_are`` "estimate", "planner's figure" or "" where nothing is deployable."""

    layers: tuple[Layer, ...]
    target: str
    cycles_are: str
    notes: tuple[str, ...] = ()


def explain(path: Path, target: str, changes: int = 3) -> Explanation:
    """Explains a checkpoint or an ``.ebnn`` file on ``target``; alternatives are costed for the ``changes`` dearest
    blocks. Raises UsageError and ModelError as ``converters.load_model`` does; float layers are no error.
    """
    if path.suffix.lower() not in (".pt", ".pth"):
        return _planned(plan_of(lower(load_model(path)), target), {}, None, 0)
    network = models.load(path).network
    trained = dict(_trained(network))
    floats = [name for name, layer in trained.items() if layer.precision.startswith("float")]
    if floats:
        note = (
            f"{len(floats)} layers are float, which no device kernel takes: train with --weight int8 or less"
        )
        return Explanation(tuple(trained.values()), target, "", (note,))
    return _planned(plan_of(lower(load_model(path)), target), trained, network.arch, changes)


def _inputs(dtype: str, bipolar: bool) -> str:
    """A layer's inputs in words; bipolar codes are odd multiples of half a step."""
    return f"{'bipolar ' if bipolar else ''}{_ACT[dtype]} inputs"


def _trained(network: models.Network) -> Iterator[tuple[str, Layer]]:
    """Precision and reason of each layer with weights, from the network's description."""
    layers = [(path, m) for path, m in network.named_modules() if hasattr(m, "weight_quantizer")]
    arch = network.arch
    for i, (path, module) in enumerate(layers):
        kind = _KIND[module.weight_quantizer.kind]
        act = module.act
        precision = kind if act is None else f"{kind}, {_inputs(act.dtype, act.bipolar)}"
        if kind == "INT8" and module.weight_quantizer.kind == "s8":
            bits = getattr(module.weight_quantizer, "bits", 8)
            precision = precision if bits == 8 else precision.replace("INT8", f"INT{bits}, stored as INT8")
        patterns = [p for p in arch.get("layers", {}) if fnmatchcase(path, p)]
        if patterns:
            why = f"override {patterns[-1]!r}"
        elif "ends" in arch and i in (0, len(layers) - 1):
            which = "first" if i == 0 else "last"
            why = f"ends = {arch['ends']!r}: the {which} layer, most sensitive and few weights"
        elif kind == "INT8" and _KIND[weight_quantizer(arch.get("weight", "int8"), 1).kind] != kind:
            why = "stays INT8: first, last and depthwise layers of this network do"
        else:
            why = f"weight = {arch.get('weight')!r}" + (f", act = {arch.get('act')!r}" if act else "")
        yield path, Layer(path, precision, why)


def _planned(
    planned: Plan, trained: dict[str, Layer], arch: dict[str, Any] | None, changes: int
) -> Explanation:
    counted = planned.target.name in TABLES
    cycles = [c for _, c in plan_cost(planned).layers] if counted else [round(s.cost) for s in planned.steps]
    layers = []
    for step, cost in zip(planned.steps, cycles, strict=True):
        known = trained.get(step.op.name)
        source = planned.graph.tensors[step.op.inputs[0]]
        kind = weight_dtype(step)
        precision = f"{_KIND[kind]}, {_inputs(source.dtype, source.bipolar)}" if kind else "no weights"
        layers.append(
            Layer(
                step.op.name,
                known.precision if known and "," in known.precision else precision,
                known.why if known else _role(step.op.type),
                params_bytes(step.params),
                cost,
                step.kernel.removeprefix("ebnn_") + (f", {step.variant}" if step.variant else ""),
                _smaller(step) + _slow(step),
            )
        )
    if arch is not None:
        layers = _with_changes(layers, arch, planned.target.name, changes)
    return Explanation(tuple(layers), planned.target.name, "estimate" if counted else "planner's figure")


def _role(op: str) -> str:
    return {
        "quantize": "codes for the next layer's inputs",
        "layout": "another storage order for the next kernel",
        "add": "shortcut whose branch no epilogue adds",
        "softmax": "scores of the classes",
        "mean": "pooling",
    }.get(op, "as converted")


def _smaller(step: Any) -> tuple[str, ...]:
    """What --optimize size would save here."""
    same = [a for a in step.alternatives if a["flash"] < 0.7 * step.flash and a["cost"] < 4 * step.cost]
    if not same:
        return ()
    best = min(same, key=lambda a: a["flash"])
    return (
        f"--optimize size: {best['flash'] - step.flash:+,} bytes, about {best['cost'] - step.cost:+,.0f} cycles"
        " by the planner",
    )


def _slow(step: Any) -> tuple[str, ...]:
    """Why a layer runs on a portable kernel, if it does and faster ones refused it."""
    if not step.kernel.endswith("__portable") or not step.rejected:
        return ()
    return (f"portable kernel: {step.rejected[0]}",)


def _with_changes(layers: list[Layer], arch: dict[str, Any], target: str, count: int) -> list[Layer]:
    network = models.build(arch)
    kinds = {
        path: module.weight_quantizer.kind
        for path, module in network.named_modules()
        if path.startswith("blocks.") and hasattr(module, "weight_quantizer")
    }
    dearest = sorted((x for x in layers if x.name in kinds), key=lambda x: -(x.cycles or 0))[:count]
    now = cost_of_arch(arch, target)
    found: dict[str, list[str]] = {}
    for layer in dearest:
        present = network.policy.overrides.get(layer.name, {})
        for change in _CHEAPER.get(kinds[layer.name], ()):
            # The layer's own name, put last, wins over every pattern.
            others = {k: v for k, v in arch.get("layers", {}).items() if k != layer.name}
            try:
                then = cost_of_arch({**arch, "layers": {**others, layer.name: {**present, **change}}}, target)
            except ModelError:
                continue  # a combination that does not convert is no advice
            if then.cycles < 0.98 * now.cycles or then.flash < 0.98 * now.flash:
                settings = ",".join(f"{key}={value}" for key, value in change.items())
                found.setdefault(layer.name, []).append(
                    f"--layer '{layer.name}={settings}': {then.flash - now.flash:+,} bytes,"
                    f" {then.cycles - now.cycles:+,} cycles; train again"
                )
    return [
        Layer(**{**asdict(x), "change": (*found.get(x.name, ()), *x.change)}) if x.name in found else x
        for x in layers
    ]
