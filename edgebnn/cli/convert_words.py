"""What ``edgebnn convert`` says about a plan beside its table: budgets, the other --optimize, slow layers, time."""

from __future__ import annotations

from typing import Any

from edgebnn.errors import ModelError
from edgebnn.plan import Plan, plan
from edgebnn.plan.cost_report import report as plan_report


def other_choice(planned: Plan, flash: int | None, ram: int | None) -> dict[str, Any]:
    """Totals of the plan that the other --optimize makes under the same budgets (bytes): {"optimize", "flash",
    "arena", "estimated_cost" (the planner's cycles)}, or {"optimize", "why_not"} where it keeps no budget."""
    other = "size" if planned.optimize == "speed" else "speed"
    try:
        made = plan(planned.source, planned.target, other, flash=flash, ram=ram, threads=planned.threads)
    except ModelError as error:
        return {"optimize": other, "why_not": str(error)}
    if made.optimize != other:  # the budget of flash turned speed into size
        return {"optimize": other, "why_not": f"does not fit {flash} bytes of flash"}
    totals = plan_report(made)
    return {
        "optimize": other,
        "flash": totals["flash"]["total"],
        "arena": totals["arena"],
        "estimated_cost": sum(layer["estimated_cost"] for layer in totals["layers"]),
    }


def _change(difference: int, unit: str) -> str:
    return f"{abs(difference):,} {'more' if difference > 0 else 'less'} {unit}"


def choice_line(report: dict[str, Any]) -> str:
    """What was optimised for, and what the other choice would cost."""
    other = report["other_choice"]
    chosen = f"optimized for {report['optimize']}: "
    if "why_not" in other:
        return f"{chosen}--optimize {other['optimize']} is no choice here ({other['why_not']})"
    cycles = sum(layer["estimated_cost"] for layer in report["layers"])
    changes = [
        _change(difference, unit)
        for difference, unit in (
            (other["flash"] - report["flash"]["total"], "bytes of flash"),
            (other["arena"] - report["arena"], "bytes of RAM"),
            (other["estimated_cost"] - cycles, f"than the {cycles:,} cycles of the planner's estimate"),
        )
        if difference
    ]
    if not changes:
        return f"{chosen}--optimize {other['optimize']} would choose the same"
    return f"{chosen}--optimize {other['optimize']} would take " + ", ".join(changes)


def budget_line(report: dict[str, Any]) -> str | None:
    """How much of the budgets is used, None without a budget."""
    used = (("flash", report["flash"]["total"], "flash_budget"), ("RAM", report["arena"], "ram_budget"))
    parts = [
        f"{what} {bytes_:,} of {report[key]:,} bytes ({100 * bytes_ / report[key]:.0f} %)"
        for what, bytes_, key in used
        if key in report
    ]
    return "budget: " + ", ".join(parts) if parts else None


def slow_lines(report: dict[str, Any]) -> list[str]:
    """One line for each layer that no fast kernel of the target takes."""
    return [
        f"layer {layer['name']}: slow, {layer['kernel'].removeprefix('ebnn_')}: {layer['slow_because']}"
        for layer in report["layers"]
        if layer["slow_because"]
    ]


def time_line(report: dict[str, Any]) -> str | None:
    """Estimated milliseconds at the clock that was given."""
    if "estimate" not in report:
        return None
    e = report["estimate"]
    ms = e["estimated_ms"]
    return (
        f"at {e['clock_hz'] / 1e6:g} MHz: {ms['nominal']:.2f} ms ({ms['low']:.2f} to {ms['high']:.2f}) an inference,"
        f" {e['note']}"
    )
