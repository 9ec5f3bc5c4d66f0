"""``python -m benchmarks.cortex_m``: measures the table, prints it, writes results.md and results.json."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cortex_m import table
from benchmarks.cortex_m.rows import ROWS, find
from edgebnn.errors import EdgebnnError, UsageError

HERE = Path(__file__).resolve().parent


def main(argv: Sequence[str] | None = None) -> int:
    """Command line. Exit code 0, or that of the error; with --check 1 when a goal to reach is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cortex_m", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="measure one row, by its name in the first column")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.md and results.json")
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    args = parser.parse_args(argv)
    try:
        rows = find(args.only) if args.only else list(ROWS)
        if not rows:
            raise UsageError(f"no row {args.only!r}", "the rows are: " + "; ".join(row.name for row in ROWS))
        results = []
        for row in rows:
            print(row.name, file=sys.stderr, flush=True)
            results.append(table.measure_row(row))
        document = table.document(results)
        text = table.markdown(results)
        print(json.dumps(document, indent=1) if args.json else text)
        if not args.only:
            for name, content in (
                ("results.md", text),
                ("results.json", json.dumps(document, indent=1) + "\n"),
            ):
                part = args.out / f".{name}.part"
                part.write_text(content, encoding="utf-8")
                part.replace(args.out / name)
    except EdgebnnError as e:
        print(f"error: {e}" + (f"\nhint: {e.hint}" if e.hint else ""), file=sys.stderr)
        return e.exit_code
    return int(args.check and not all(result.met() for result in results))


if __name__ == "__main__":
    sys.exit(main())
