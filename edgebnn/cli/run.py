"""``edgebnn run``: classify recordings or feature arrays on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from edgebnn.cli.common import emit_json, isa_option, json_option, model_file, threads_option
from edgebnn.ir import Graph


@click.command(epilog="Example: edgebnn run build/kws/kws.ebnn clip.wav")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="INPUT...")
@isa_option
@threads_option
@json_option
def run(model: Path, inputs: tuple[Path, ...], isa: str | None, threads: int, as_json: bool) -> None:
    """Classify each INPUT with MODEL, a .ebnn file or a converted model's folder.

    An INPUT is a 16-bit mono WAV file, or a .npy file of int8 features, one input or a batch.
    """
    from edgebnn import ir
    from edgebnn.cli.inputs import load
    from edgebnn.host import Runtime
    from edgebnn.plan import plan
    from edgebnn.targets import load as load_target

    graph = ir.load(model_file(model))
    batches = [(path, load(path, graph)) for path in inputs]
    runtime = Runtime(plan(graph, load_target("host", isa), threads=threads))
    results = []
    for path, batch in batches:
        for i, x in enumerate(batch):
            place = str(path) if len(batch) == 1 else f"{path}[{i}]"
            results.append({"input": place, **_classify(graph, runtime.run(x))})
    if as_json:
        first = {key: results[0][key] for key in ("label", "index", "scores")}
        first["isa"] = runtime.plan.target.isa[0]
        first["threads"] = threads
        first["kernels"] = [{"layer": step.op.name, "kernel": step.kernel} for step in runtime.plan.steps]
        emit_json(first if len(results) == 1 else {**first, "results": results})
        return
    for result in results:
        _show(graph, result)


def _classify(graph: Graph, y: np.ndarray) -> dict[str, Any]:
    """The winning class and the real value of every output element."""
    out = graph.tensors[graph.output]
    values = np.asarray(y).ravel()
    index = int(np.argmax(values))
    labels = graph.meta.get("labels")
    scores = out.scale * (values.astype(np.float64) - out.zero_point)
    return {
        "label": labels[index] if labels else str(index),
        "index": index,
        "scores": [round(float(score), 6) for score in scores],
    }


def _show(graph: Graph, result: dict[str, Any]) -> None:
    """One line: input, label, and the three best scores."""
    labels = graph.meta.get("labels") or [str(i) for i in range(len(result["scores"]))]
    best = sorted(range(len(labels)), key=lambda i: -result["scores"][i])[:3]
    ranking = "  ".join(f"{labels[i]} {result['scores'][i]:.3f}" for i in best)
    click.echo(f"{result['input']}: {result['label']}   ({ranking})")
