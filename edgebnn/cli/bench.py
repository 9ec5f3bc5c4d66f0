"""``edgebnn bench``: our kernels and other libraries' on the same layers and networks, in turn."""

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
    "--layers",
    "pattern",
    default="",
    help="Only layers (networks) whose name or precision contains this text.",
)
@click.option("--networks", is_flag=True, help="Whole networks instead of layers.")
@click.option("--all", "everything", is_flag=True, help="Layers and networks.")
@click.option("--rounds", type=click.IntRange(3, 1000), default=11, help="Rounds of a pass [11].")
@click.option(
    "--passes",
    type=click.IntRange(1, 100),
    default=1,
    help="Measure everything so many times, with new processes, and show the spread [1].",
)
@click.option(
    "--threads", type=click.IntRange(1, 64), default=1, help="Threads of ours and of the peers [1]."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write results.md and results.json.",
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
    everything: bool,
    rounds: int,
    passes: int,
    threads: int,
    output: Path | None,
    litert_python: str | None,
    larq_python: str | None,
    as_json: bool,
) -> None:
    """Measure this machine's kernels beside other libraries', layer by layer or as whole networks.

    The peers are PyTorch (oneDNN) and, where they are installed, LiteRT with XNNPACK and Larq Compute Engine. What is
    missing is named. Figures that are required of one thread stand beside the measured ones.
    """
    import json

    from edgebnn.bench import layers, optional, page, report
    from edgebnn.bench.networks import NETWORKS
    from edgebnn.bench.session import Session
    from edgebnn.targets import cpu

    present = [isa for isa in ("avx2", "avx512") if cpu.supports(isa)]
    for isa in isas or ["avx2"]:
        if isa not in present:
            raise UsageError(
                f"{f'--isa {isa}' if isas else 'bench'}: this processor has "
                f"{', '.join(present) or 'neither avx2 nor avx512'}"
            )
    chosen = [x for x in layers.LAYERS if pattern in f"{x.name} {x.precision()}" and not networks]
    whole = [name for name in NETWORKS if pattern in name and (networks or everything)]
    if not chosen and not whole:
        kind = "network" if networks else "layer"
        raise UsageError(f"--layers {pattern}: no {kind}'s name contains it")
    others, missing = optional.find({"litert": litert_python, "larq": larq_python}) if chosen else ([], [])

    def tell(text: str) -> None:
        if not as_json:
            say(text)

    for reason in missing:
        tell(f"missing: {reason}")
    words = ["edgebnn bench", *(f"--isa {isa}" for isa in isas)]
    words += [flag for flag, given in (("--networks", networks), ("--all", everything)) if given]
    words += [f"--layers '{pattern}'"] if pattern else []
    words += [f"--rounds {rounds}", f"--passes {passes}", *([f"--threads {threads}"] * (threads > 1))]
    settings = report.Settings(" ".join(words), rounds, passes, threads)
    document = Session(isas or present, chosen, whole, settings, others, missing, tell).run()
    for figure in document["required"]:
        if figure["verdict"] == "MISSED":
            tell(
                f"MISSED: {figure['isa']}, {figure['what']}: {figure['measured']}{figure['unit']}, "
                f"required {figure['sign']} {figure['required']}"
            )
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "results.md").write_text(page.markdown(document))
        (output / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    if as_json:
        emit_json(document)
