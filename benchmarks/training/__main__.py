"""``python -m benchmarks.training``: trains the networks of the table, measures them, writes the results.

Resumable: what is trained is not trained again, a run that was killed goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.training import costs, pareto, table
from benchmarks.training.runs import MODELS, Model, find, schedule, seeds_of
from benchmarks.training.train import checkpoint, result, run
from edgebnn.errors import EdgebnnError, UsageError

HERE = Path(__file__).resolve().parent


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _costs(data: Path, work: Path, seeds: int, refresh: bool) -> dict[str, dict[str, Any]]:
    """Costs of every trained model; those of the same checkpoint are kept unless ``refresh``."""
    path = work / "costs.json"
    known: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for model in MODELS:
        seed = seeds_of(model, seeds)[0]
        if not model.deployed or result(work, model, seed) is None:
            continue
        file = checkpoint(work, model.name, seed)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if refresh or known.get(model.name, {}).get("sha256") != digest:
            print(f"measuring {model.name}", file=sys.stderr, flush=True)
            known[model.name] = {
                **costs.measure(file),
                "disagreements": costs.disagreements(file, model.task, data),
                "sha256": digest,
            }
            _write(path, json.dumps(known, indent=1) + "\n")
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """Command line. Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the speech data (default: EDGEBNN_DATA)")
    parser.add_argument("--work", type=Path, default=Path("build/training"), help="folder of the checkpoints")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each network")
    parser.add_argument("--only", action="append", metavar="NAME", help="train this network; may be repeated")
    parser.add_argument("--no-train", action="store_true", help="report what is trained")
    parser.add_argument(
        "--refresh-costs", action="store_true", help="measure sizes and cycles anew; no training"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.md, .json and pareto.svg")
    args = parser.parse_args(argv)
    try:
        data = args.data or (Path(os.environ["EDGEBNN_DATA"]) if "EDGEBNN_DATA" in os.environ else None)
        if data is None:
            raise UsageError("no folder of speech data", "give --data DIR, or set EDGEBNN_DATA")
        for name in args.only or ():
            if find(name) is None:
                raise UsageError(f"no network {name!r}", "known: " + ", ".join(m.name for m in MODELS))
        if not (args.no_train or args.refresh_costs):
            _train(data, args.work, args.seeds, args.only)
        found = table.document(args.work, args.seeds, _costs(data, args.work, args.seeds, args.refresh_costs))
        _write(args.out / "results.json", json.dumps(found, indent=1) + "\n")
        _write(args.out / "results.md", table.markdown(found, args.seeds))
        pareto.plot(found, args.out / "pareto.svg")
    except EdgebnnError as e:
        print(f"error: {e}" + (f"\nhint: {e.hint}" if e.hint else ""), file=sys.stderr)
        return e.exit_code
    return 0


def _train(data: Path, work: Path, seeds: int, only: Sequence[str] | None) -> None:
    todo: list[tuple[Model, int]] = [
        item for item in schedule(seeds) if (not only or item[0].name in only) and not result(work, *item)
    ]
    for i, (model, seed) in enumerate(todo):
        print(f"{model.name}, seed {seed} ({i + 1} of {len(todo)})", file=sys.stderr, flush=True)
        run(data, work, model, seed)


if __name__ == "__main__":
    sys.exit(main())
