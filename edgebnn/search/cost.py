"""What a network costs on a target: bytes from the planner, cycles from the emulator's cost model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgebnn import models, targets
from edgebnn.errors import ModelError
from edgebnn.estimate.cost import TABLES
from edgebnn.estimate.planned import plan_cost
from edgebnn.ir import Graph
from edgebnn.passes import lower
from edgebnn.plan import Plan, flash_bytes, plan
from edgebnn.train.untrained import same_weights, untrained_graph


@dataclass(frozen=True)
class Cost:
    """Bytes of weights and constants, bytes of the arena, and cycles of one inference.

    ``source`` says where the cycles come from: "estimate" (the emulated kernels, by the documented
    instruction timings) or "planner" (its own figures, for targets without such timings).
    """

    flash: int
    ram: int
    cycles: int
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Budget:
    """Upper limits; None: no limit."""

    flash: int | None = None
    ram: int | None = None
    cycles: int | None = None

    def shares(self, cost: Cost) -> dict[str, float]:
        """How much of each limit ``cost`` uses; over 1 is too much."""
        limits = {"flash": self.flash, "ram": self.ram, "cycles": self.cycles}
        return {name: getattr(cost, name) / limit for name, limit in limits.items() if limit is not None}

    def misses(self, cost: Cost) -> list[str]:
        """What ``cost`` is over: "needs 9,000 bytes of flash of 8,000 (+12.5 %)", the worst first."""
        unit = {"flash": "bytes of flash", "ram": "bytes of RAM", "cycles": "cycles"}
        over = sorted(((s, name) for name, s in self.shares(cost).items() if s > 1), reverse=True)
        return [
            f"{getattr(cost, name):,} {unit[name]} of {getattr(self, name):,} (+{100 * (share - 1):.1f} %)"
            for share, name in over
        ]

    def to_dict(self) -> dict[str, int | None]:
        """Plain values."""
        return asdict(self)


def plan_of(graph: Graph, target: str, budget: Budget | None = None) -> Plan:
    """The plan of an integer graph for ``target``; where it misses the budget, one that meets it if there is any."""
    loaded = targets.load(target)
    planned = plan(graph, loaded)
    if budget is None:
        return planned
    for flash, ram in ((budget.flash, None), (None, budget.ram), (budget.flash, budget.ram)):
        shares = budget.shares(Cost(flash_bytes(planned), planned.arena, 0, ""))
        if not any(share > 1 for share in shares.values()):
            return planned
        try:
            planned = plan(graph, loaded, flash=flash, ram=ram)
        except ModelError:  # over this limit even when it is planned small
            continue
    return planned


def cost_of_plan(planned: Plan) -> Cost:
    """Cost of a plan. Raises ToolchainError where the cycles cannot be counted (no cross compiler)."""
    if planned.target.name in TABLES:
        counted = plan_cost(planned).cycles
        assert counted is not None
        return Cost(flash_bytes(planned), planned.arena, counted.nominal, "estimate")
    return Cost(
        flash_bytes(planned), planned.arena, round(sum(step.cost for step in planned.steps)), "planner"
    )


def cost_of_arch(arch: Mapping[str, Any], target: str, budget: Budget | None = None) -> Cost:
    """Cost of an architecture before any training. Raises ModelError for one that does not convert."""
    with same_weights():
        network = models.build(dict(arch))
    graph = lower(untrained_graph(network))
    return cost_of_plan(plan_of(graph, target, budget))
