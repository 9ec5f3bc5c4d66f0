"""From size, accuracy and target to a recommended precision, with the costs of each choice beside it.

The rules: where INT8 fits, take INT8; else give up as little accuracy as the budgets force. The expected
losses are rules of thumb for networks of this kind trained with quantisation, in points against float; only
training tells (``edgebnn train``, ``edgebnn search``). Bytes and cycles are those of the planned network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgebnn.errors import ModelError
from edgebnn.search.cost import Budget, Cost, cost_of_arch


@dataclass(frozen=True)
class Precision:
    """A choice for the blocks between INT8 ends; ``loss``: accuracy points it is expected to cost."""

    label: str
    weight: str
    act: str
    loss: float


LADDER = (
    Precision("INT8", "int8", "int8", 0.5),
    Precision("INT4 weights", "int:4", "int8", 1.0),
    Precision("2-bit weights, 4-bit activations", "lsq", "lsq:4", 1.5),
    Precision("ternary, 2-bit activations", "twn", "lsq:2", 2.0),
    Precision("binary, 4-bit activations", "binary", "lsq:4", 2.0),
    Precision("binary, 2-bit activations", "binary", "lsq:2", 3.0),
    Precision("binary, 1-bit activations", "binary", "sign", 5.0),
)

TASKS: dict[str, dict[str, Any]] = {"kws": {"name": "kws1d"}, "digits": {"name": "cnn"}}


@dataclass(frozen=True)
class Option:
    """A precision at a width, what it costs, and what it misses of the budget."""

    precision: Precision
    channels: int
    cost: Cost
    misses: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "precision": asdict(self.precision),
            "channels": self.channels,
            "cost": self.cost.to_dict(),
            "misses": list(self.misses),
        }


@dataclass(frozen=True)
class Advice:
    """The recommended option, the reason in a sentence, and all that were compared."""

    choice: Option
    reason: str
    options: tuple[Option, ...]


def advise(arch: dict[str, Any], target: str, budget: Budget, accuracy_loss: float) -> Advice:
    """The recommendation for a network like ``arch`` (its quantisers are replaced).

    ``accuracy_loss``: points against float that may be lost. Raises ModelError, saying which constraint
    binds, where neither this width nor half of it meets the budgets within that loss.
    """
    full = int(arch.get("channels", 0)) or 32
    tried: list[Option] = []
    for channels in (full, 3 * full // 4, full // 2):
        allowed = [p for p in LADDER if p.loss <= accuracy_loss]
        options = [_option(arch, p, channels, target, budget) for p in LADDER]
        tried += options
        fitting = [o for o in options if not o.misses and o.precision in allowed]
        if fitting:
            return Advice(fitting[0], _reason(fitting[0], options, full, accuracy_loss), tuple(tried))
    allowed_options = [o for o in tried if o.precision.loss <= accuracy_loss]
    if not allowed_options:
        raise ModelError(
            f"no precision loses at most {accuracy_loss:g} points: INT8 is expected to lose {LADDER[0].loss:g}",
            "allow a larger --accuracy-loss",
        )
    nearest = min(allowed_options, key=lambda o: max(budget.shares(o.cost).values(), default=0.0))
    raise ModelError(
        f"nothing within {accuracy_loss:g} points meets the budget; the nearest ({nearest.precision.label},"
        f" {nearest.channels} channels) needs {' and '.join(nearest.misses)}",
        "allow a larger --accuracy-loss or raise that limit; edgebnn search looks further",
    )


def _option(arch: dict[str, Any], p: Precision, channels: int, target: str, budget: Budget) -> Option:
    cost = cost_of_arch({**arch, "channels": channels, "weight": p.weight, "act": p.act}, target, budget)
    return Option(p, channels, cost, tuple(budget.misses(cost)))


def _reason(choice: Option, options: list[Option], full: int, accuracy_loss: float) -> str:
    better = [o for o in options if o.precision.loss < choice.precision.loss]
    width = "" if choice.channels == full else f" at {choice.channels} channels instead of {full}"
    if not better:
        return f"INT8 meets the budgets{width}, so nothing need be given up for size"
    binding = next((o.misses[0] for o in reversed(better) if o.misses), "")
    return (
        f"{choice.precision.label}{width} gives up least of what meets the budgets within {accuracy_loss:g} points;"
        f" {better[-1].precision.label} needs {binding}"
    )
