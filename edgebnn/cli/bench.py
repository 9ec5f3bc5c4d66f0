"""``edgebnn bench``: our kernels and other libraries' on the same layers, in turn."""

from __future__ import annotations

from pathlib import Path

import click

from edgebnn.cli.common import emit_json, json_option, say
from edgebnn.errors import UsageError


@click.command(epilog="Example: edgebnn bench --isa avx2 --layers '3x3'")
@click.option(
    "--isa", "isas", multiple=True, help="Instruction sets to compare in [those of this processor]."
)
@click.option(
    "--layers", "pattern", default="", help="Only layers whose name or precision contains this text."
)
@click.option("--networks", is_flag=True, help="Whole networks instead of layers.")
@click.option("--rounds", type=click.IntRange(3, 1000), default=11, help="Rounds of measuring [11].")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write results.md and .json (networks.md and .json).",
)
@click.option(
    "--litert-python",
    metavar="PROGRAM",
    help="Python that has LiteRT (ai-edge-litert) [EDGEBNN_LITERT_PYTHON, else this one].",
)
@click.option(
    "--larq-python",
    metavar="PROGRAM",
    help="Python that has Larq Compute Engine [EDGEBNN_LARQ_PYTHON, else this one].",
)
@json_option
def bench(
    isas: tuple[str, ...],
    pattern: str,
    networks: bool,
    rounds: int,
    output: Path | None,
    litert_python: str | None,
    larq_python: str | None,
    as_json: bool,
) -> None:
    """Measure this machine's kernels beside other libraries', one thread, layer by layer.

    The peers are PyTorch (oneDNN) and, where they are installed, LiteRT with XNNPACK and Larq Compute Engine. What is
    missing is named.
    """
    import json

    from edgebnn.bench import layers, measure, optional, report
    from edgebnn.bench.bandwidth import read_bandwidth
    from edgebnn.bench.process import Process
    from edgebnn.targets import cpu

    present = [isa for isa in ("avx2", "avx512") if cpu.supports(isa)]
    for isa in isas:
        if isa not in present:
            raise UsageError(
                f"--isa {isa}: this processor has {', '.join(present) or 'neither avx2 nor avx512'}"
            )
    if networks:
        document = _networks(isas or tuple(present), pattern, rounds, output, as_json)
        if as_json:
            emit_json(document)
        return
    chosen = [layer for layer in layers.LAYERS if pattern in f"{layer.name} {layer.precision()}"]
    if not chosen:
        raise UsageError(f"--layers {pattern}: no layer's name contains it")
    results: list[dict[str, object]] = []
    versions: dict[str, str] = {}
    others, missing = optional.find({"litert": litert_python, "larq": larq_python})
    if not as_json:
        for reason in missing:
            say(f"missing: {reason}")
    for isa in isas or present:
        processes = [Process(c) for c in (*measure.contenders(isa), *others)]
        try:
            for layer in chosen:
                timings = measure.time_layer(processes, layer, rounds)
                results.append(report.result(layer, isa, timings))
                for timing in timings.values():
                    versions.update(timing.about.get("versions", {}))
                if not as_json:
                    say(report.line(results[-1]))
        finally:
            for process in processes:
                process.close()
    document = report.document(results, isas or present, versions, read_bandwidth(), missing)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        options = "".join(f" --isa {isa}" for isa in isas) + (f" --layers '{pattern}'" if pattern else "")
        page = report.markdown(document, f"edgebnn bench{options} --rounds {rounds}")
        (output / "results.md").write_text(page)
        (output / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    if as_json:
        emit_json(document)


def _networks(
    isas: tuple[str, ...], pattern: str, rounds: int, output: Path | None, as_json: bool
) -> dict[str, object]:
    """Measures the networks and writes their page; the document."""
    import json
    import tempfile

    from edgebnn.bench import measure, networks, report
    from edgebnn.bench.process import Process

    chosen = [name for name in networks.NETWORKS if pattern in name]
    if not chosen:
        raise UsageError(f"--layers {pattern}: no network's name contains it")
    results: list[dict[str, object]] = []
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: networks.write(name, Path(folder)) for name in chosen}
        for isa in isas:
            processes = [Process(c) for c in networks.contenders(isa, measure.cap(isa))]
            try:
                for name in chosen:
                    timings = networks.time_network(processes, name, files[name], rounds)
                    results.append(networks.result(name, isa, timings))
                    for timing in timings.values():
                        versions.update(timing.about.get("versions", {}))
                    if not as_json:
                        say(networks.line(results[-1]))
            finally:
                for process in processes:
                    process.close()
    document = {**report.document([], isas, versions), "networks": results}
    del document["results"], document["missing"]
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        options = "".join(f" --isa {isa}" for isa in isas) + (f" --layers '{pattern}'" if pattern else "")
        page = networks.page(document, f"edgebnn bench --networks{options} --rounds {rounds}")
        (output / "networks.md").write_text(page)
        (output / "networks.json").write_text(json.dumps(document, indent=1) + "\n")
    return document
