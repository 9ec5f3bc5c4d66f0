"""``python -m benchmarks.x86``: everything of ``edgebnn bench``, in several passes, and the predictions for NEON beside
what is required of them; writes results.md and results.json.

Takes the options of ``edgebnn bench``.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.neon import __main__ as predictions
from edgebnn.bench import page
from edgebnn.bench.required import Required
from edgebnn.cli.bench import bench
from edgebnn.errors import EdgebnnError

HERE = Path(__file__).resolve().parent
DEFAULTS = ("--all", "--rounds", "9", "--passes", "3", "-o", str(HERE))


def neon_figures() -> list[Required]:
    """Figures required of the NEON loops as the target's compiler makes them: predictions, not measurements."""
    found = []
    for p in predictions.predict(["gcc"]):
        columns = zip(predictions.CORES, p.loop.goals, p.loop.aims, p.macs, strict=True)
        for core, goal, aim, macs in columns:
            if goal is not None and macs is not None:
                what = f"NEON, {p.loop.name}: prediction by llvm-mca for {core}"
                found.append(Required(what, "neon", goal, round(macs, 1), (), aim=aim, unit=" MAC/cycle"))
    return found


def add_neon(document: dict[str, Any]) -> None:
    """Puts the predictions, or why there are none, into the document."""
    missing = predictions.lacking()
    if missing:
        document["missing"].append(f"NEON by llvm-mca: {' and '.join(missing)} not installed")
    else:
        document["required"] += [figure.to_dict() for figure in neon_figures()]


def command(argv: Sequence[str]) -> str:
    """What measures the same; the places of interpreters and results are each machine's own."""
    words, rest = [], iter(argv)
    for word in rest:
        if word in ("-o", "--output", "--litert-python", "--larq-python"):
            next(rest, None)
        else:
            words.append(word)
    return "make bench-x86" + (f' ARGS="{shlex.join(words)}"' if words else "")


def main(argv: Sequence[str]) -> int:
    """Exit code 0, or that of the error."""
    try:
        context = bench.make_context("bench-x86", [*DEFAULTS, *argv])
        with context:
            bench.invoke(context)
    except EdgebnnError as e:
        print(f"error: {e}" + (f"\nhint: {e.hint}" if e.hint else ""), file=sys.stderr)
        return e.exit_code
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.ClickException as e:
        e.show()
        return e.exit_code
    folder: Path = context.params["output"]
    document = json.loads((folder / "results.json").read_text())
    if document["threads"] == 1:
        add_neon(document)
    document["command"] = command(argv)
    texts = {"results.md": page.markdown(document), "results.json": json.dumps(document, indent=1) + "\n"}
    for name, text in texts.items():
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
