"""The cost report of a plan: report.json of the output folder."""

from __future__ import annotations

from typing import Any

from edgebnn.ir import TensorType
from edgebnn.ir.ops import REGISTRY
from edgebnn.plan.geometry import params_bytes
from edgebnn.plan.sources import sources
from edgebnn.plan.types import Plan, Step

#: array fields that hold weights; all others are constants
WEIGHT_FIELDS = ("weights", "lists", "codes")


def _split(step: Step) -> tuple[int, int]:
    total = params_bytes(step.params)
    weights = sum(step.params[k].nbytes for k in WEIGHT_FIELDS if step.params.get(k) is not None)
    return weights, total - weights


def _tensor(t: TensorType) -> dict[str, Any]:
    return {
        "shape": list(t.shape),
        "dtype": t.dtype,
        "scale": t.scale,
        "zero_point": t.zero_point,
        "layout": t.layout,
        "bytes": t.nbytes,
    }


def weight_dtype(step: Step) -> str | None:
    """Element type of a layer's weights."""
    if step.op.type == "bconv2d":
        return str(step.op.attrs["weight_kind"])
    return "s8" if "weights" in step.op.attrs else None


def slow_because(step: Step) -> str | None:
    """Why the step runs on a plain portable kernel although the target has a faster one for its op; else None."""
    symbol = step.kernel
    fast_core = any(core in symbol for core in ("_lanes_", "_bits_"))
    if not symbol.endswith("__portable") or fast_core or not step.rejected:
        return None
    return "; ".join(step.rejected)


def report(plan: Plan) -> dict[str, Any]:
    """The report as JSON values; equal plans give equal reports."""
    layers: list[dict[str, Any]] = []
    for step in plan.steps:
        ins = [plan.graph.tensors[n] for n in step.op.inputs]
        outs = [plan.graph.tensors[n] for n in step.op.outputs]
        weights, constants = _split(step)
        layers.append(
            {
                "name": step.op.name,
                "op": step.op.type,
                "kernel": step.kernel,
                "variant": step.variant,
                "in_dtype": ins[0].dtype,
                "weight_dtype": weight_dtype(step),
                "out_dtype": outs[0].dtype,
                "in_shape": list(ins[0].shape),
                "out_shape": list(outs[0].shape),
                "in_layout": ins[0].layout,
                "out_layout": outs[0].layout,
                "macs": REGISTRY[step.op.type].macs(step.op, outs[0].shape),
                "weight_bytes": weights,
                "constant_bytes": constants,
                "scratch": step.scratch,
                "estimated_cost": round(step.cost),
                "not_used": list(step.rejected),
                "slow_because": slow_because(step),
                "alternatives": [dict(a) for a in step.alternatives],
            }
        )
    kernels = sorted({step.kernel for step in plan.steps})
    weights = sum(layer["weight_bytes"] for layer in layers)
    constants = sum(layer["constant_bytes"] for layer in layers)
    return {
        "name": plan.graph.name,
        "target": plan.target.name,
        "optimize": plan.optimize,
        "crc": plan.crc,
        "flash": {"weights": weights, "constants": constants, "total": weights + constants},
        "arena": plan.arena,
        "macs": sum(layer["macs"] for layer in layers),
        "kernels": kernels,
        "sources": sources(kernels),
        "input": _tensor(plan.graph.tensors[plan.graph.input]),
        "output": _tensor(plan.graph.tensors[plan.graph.output]),
        "labels": list(plan.graph.meta.get("labels") or []),
        "layers": layers,
    }
