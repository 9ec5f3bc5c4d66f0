"""Static predictions for the inner loops of the NEON kernels: compiled for AArch64, timed by llvm-mca.

    python -m benchmarks.neon        prints a Markdown table; needs aarch64-linux-gnu-gcc and llvm-mca

The loops are those of the compiled kernels, found by an instruction that they have. A
prediction takes every load as a hit in the first-level cache and knows nothing of the code around the loop.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from edgebnn import csrc

CORES = ("cortex-a53", "cortex-a55", "cortex-a72", "cortex-a76")
COMPILER = ["aarch64-linux-gnu-gcc", "-O3", "-std=gnu99", "-march=armv8-a"]
ITERATIONS = 300


@dataclass(frozen=True)
class Loop:
    """A loop to find: source, function, an instruction it has, and the products of a turn (0: 128 a CNT)."""

    name: str
    source: str
    function: str | None  # None: any of the source
    instruction: str
    macs: int


LOOPS = (
    # 8 planes x 128 pixels x 4 channels; the sums of a group's classes are not in the loop
    Loop("bit planes, sums of 8 bits", "bconv2d_wide.c", "wide_sum_8", "bsl|bit|bif", 8 * 128 * 4),
    # 128 products a count
    Loop("counting, 4 pixels x 4 channels", "bconv2d_dot.c", None, "cnt", 0),
)


def assembly(source: str) -> str:
    """The compiled text of a kernel."""
    root = csrc.kernels_dir()
    includes = [f"-I{root / part}" for part in ("include", "src/core", "src/portable")]
    command = [*COMPILER, *includes, "-S", str(root / "src" / "neon" / source), "-o", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def find(loop: Loop) -> list[str]:
    """The innermost loop of the function with the instruction most often, the shortest of such loops."""
    text = assembly(loop.source)
    body = text
    if loop.function is not None:
        body = text[text.index(f"\n{loop.function}:") :]
        body = body[: body.index("\t.size\t")]
    lines = [line.strip() for line in body.splitlines()]
    labels = {line[:-1]: i for i, line in enumerate(lines) if re.fullmatch(r"\.L\w+:", line)}
    best: list[str] = []
    rank = (0, 0)
    for i, line in enumerate(lines):
        target = re.search(r"^(?:b\.?\w*|cbn?z|tbn?z)\b.*?(\.L\w+)$", line)
        if target is None or labels.get(target[1], i) >= i:
            continue
        block = lines[labels[target[1]] + 1 : i]
        if any(part.endswith(":") and part[:-1] in labels for part in block):
            continue
        code = [part for part in block if part and not part.startswith((".", "//", "#"))]
        found = len(re.findall(rf"\b({loop.instruction})\b", "\n".join(code)))
        if found and (found, -len(code)) > rank:
            best, rank = code, (found, -len(code))
    return best


def cycles(code: list[str], core: str) -> float:
    """Predicted cycles of a turn."""
    command = ["llvm-mca", "-march=aarch64", f"-mcpu={core}", f"-iterations={ITERATIONS}"]
    done = subprocess.run(command, input="\n".join(code) + "\n", capture_output=True, text=True, check=True)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert found is not None
    return int(found[1]) / ITERATIONS


def main() -> None:
    """Prints the table."""
    print("# NEON inner loops: predictions by llvm-mca, MAC per cycle\n")
    print(
        "`python -m benchmarks.neon`; predictions, not measurements. See the module's text for what they leave out.\n"
    )
    print("| loop | instructions | " + " | ".join(CORES) + " |")
    print("|---|---:|" + "---:|" * len(CORES))
    for loop in LOOPS:
        code = find(loop)
        if not code:
            sys.exit(f"{loop.name}: no such loop in the compiled code")
        macs = loop.macs or 128 * sum(line.startswith("cnt") for line in code)
        row = [f"{macs / cycles(code, core):.1f}" for core in CORES]
        print(f"| {loop.name} | {len(code)} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
