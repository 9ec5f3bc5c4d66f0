"""Static predictions for the inner loops of the NEON kernels: compiled for AArch64, timed by llvm-mca.

    python -m benchmarks.neon        prints a Markdown table; needs aarch64-linux-gnu-gcc and llvm-mca, and takes
                                     clang in where it is installed

The loops are those of the compiled kernels, found by an instruction that they have. A
prediction takes every load as a hit in the first-level cache and knows nothing of the code around the loop.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass

from edgebnn import csrc, targets

CORES = ("cortex-a53", "cortex-a55", "cortex-a72", "cortex-a76")
OPTIONS = ["-O3", "-std=gnu99"]
CLANG = ["clang", "--target=aarch64-linux-gnu", "-isystem", "/usr/aarch64-linux-gnu/include"]
ITERATIONS = 300


@dataclass(frozen=True)
class Loop:
    """A loop to find: the one of the function (None: of the file) that has the instruction most often, and ``needs``
    too. Products of a turn: ``macs``, or ``per`` an instruction."""

    name: str
    source: str
    function: str | None
    instruction: str
    macs: int = 0
    per: int = 0
    needs: str = ""
    option: str = "-march=armv8-a"
    goals: tuple[float | None, ...] = (None,) * len(CORES)
    aims: tuple[float | None, ...] = (None,) * len(CORES)


DOTPROD = "-march=armv8.2-a+dotprod"
LOOPS = (
    # 16 planes x 128 pixels x 4 channels; the sums of a group's classes are not in the loop
    Loop(
        "bit planes, sums of 8 bits",
        "bconv2d_wide.c",
        "wide_sum_8",
        "bsl|bit|bif",
        16 * 128 * 4,
        goals=(56, None, None, 170),
        aims=(70, None, None, 200),
    ),
    Loop("bit planes, sums of 6 bits", "bconv2d_wide.c", "wide_sum_6", "bsl|bit|bif", 16 * 128 * 4),
    Loop("counting, 4 pixels x 4 channels", "bconv2d_dot.c", None, "cnt", per=128, goals=(28, 31, None, 85)),
    Loop("counting, ternary", "bconv2d_dot.c", None, "cnt", per=128, needs=r"^and\s+v"),
    Loop("s8, SDOT, 8 pixels x 8 channels", "conv2d_s8.c", "dot_many", "sdot", per=16, option=DOTPROD),
    Loop("s8, SMULL, 2 pixels x 8 channels", "conv2d_s8.c", "mul_many", "smull2?|smlal2?", per=8),
    Loop("2-bit weights x s8, SDOT, 2 pixels", "bconv2d_s8.c", "dot_two", "sdot", per=16, option=DOTPROD),
    Loop("2-bit weights x s8, SDOT, 1 pixel", "bconv2d_s8.c", "dot_one", "sdot", per=16, option=DOTPROD),
    Loop("2-bit weights x s8, SMLAL, 2 pixels", "bconv2d_s8.c", "mul_two", "smlal2?", per=8),
)


def compilers() -> dict[str, list[str]]:
    """Installed compilers: the target's and clang."""
    found = {"gcc": [targets.load("aarch64").compiler]}
    if shutil.which("clang"):
        found["clang"] = CLANG
    return found


def assembly(compiler: list[str], loop: Loop) -> str:
    """The compiled text of the kernel's file."""
    root = csrc.kernels_dir()
    includes = [f"-I{root / part}" for part in ("include", "src/core", "src/portable")]
    command = [*compiler, *OPTIONS, loop.option, *includes, "-S", str(root / "src" / "neon" / loop.source)]
    return subprocess.run([*command, "-o", "-"], check=True, capture_output=True, text=True).stdout


def find(compiler: list[str], loop: Loop) -> list[str]:
    """The innermost loop with the instruction most often, the shortest of such loops."""
    body = re.sub(r"[ \t]*//.*", "", assembly(compiler, loop))
    if loop.function is not None:
        body = body[body.index(f"\n{loop.function}:") :]
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
        code = [part for part in block if part and not part.startswith((".", "#"))]
        found = len(re.findall(rf"^(?:{loop.instruction})\s", "\n".join(code), re.MULTILINE))
        if loop.needs and not any(re.search(loop.needs, part) for part in code):
            continue
        if found and (found, -len(code)) > rank:
            best, rank = code, (found, -len(code))
    return best


def cycles(code: list[str], core: str) -> float:
    """Predicted cycles of a turn."""
    command = ["llvm-mca", "-march=aarch64", f"-mcpu={core}", "-mattr=+dotprod", f"-iterations={ITERATIONS}"]
    done = subprocess.run(command, input="\n".join(code) + "\n", capture_output=True, text=True, check=True)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert found is not None
    return int(found[1]) / ITERATIONS


def products(loop: Loop, code: list[str]) -> int:
    """Products of a turn."""
    return loop.macs or loop.per * sum(bool(re.match(rf"(?:{loop.instruction})\s", part)) for part in code)


@dataclass(frozen=True)
class Prediction:
    """MAC per cycle of a loop on each of CORES, None: has no such instruction; ``stack``: instructions of the loop that
    access the stack."""

    loop: Loop
    compiler: str
    instructions: int
    stack: int
    macs: tuple[float | None, ...]


def lacking() -> list[str]:
    """Programs that predictions need and that are not installed."""
    return [p for p in (targets.load("aarch64").compiler, "llvm-mca") if shutil.which(p) is None]


def predict(names: Collection[str] | None = None) -> list[Prediction]:
    """Every loop by every compiler of ``names``, default: all. Raises LookupError where a compiled kernel has no such
    loop."""
    found = []
    for loop in LOOPS:
        for name, compiler in compilers().items():
            if names is not None and name not in names:
                continue
            code = find(compiler, loop)
            if not code:
                raise LookupError(f"{loop.name}: no such loop in the code of {name}")
            macs = tuple(
                None
                if "SDOT" in loop.name and core in ("cortex-a53", "cortex-a72")
                else products(loop, code) / cycles(code, core)
                for core in CORES
            )
            found.append(Prediction(loop, name, len(code), sum("[sp" in part for part in code), macs))
    return found


def main() -> None:
    """Prints the table; exit status 1 where the target's compiler misses a goal."""
    if missing := lacking():
        sys.exit(f"needs {' and '.join(missing)}")
    versions = [
        subprocess.run([c[0], "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
        for c in (*compilers().values(), ["llvm-mca"])
    ]
    print("# NEON inner loops: predictions by llvm-mca, MAC per cycle\n")
    print("`python -m benchmarks.neon`; predictions, not measurements. See the module's text for what they")
    print(f"leave out. Compiled with `{' '.join(OPTIONS)}` by " + ", ".join(versions[:-1]) + "; goals in")
    print(
        "parentheses. llvm-mca times Cortex-A76 as Cortex-A72 and counts a BSL as two micro-operations there;"
    )
    print("SDOT is not an instruction of the Cortex-A53 and A72.\n")
    print("| loop | compiler | instructions | stack | " + " | ".join(CORES) + " |")
    print("|---|---|---:|---:|" + "---:|" * len(CORES))
    missed = False
    for p in predict():
        row = []
        for value, goal in zip(p.macs, p.loop.goals, strict=True):
            missed |= p.compiler == "gcc" and goal is not None and value is not None and value < goal
            row.append("-" if value is None else f"{value:.1f}" + (f" ({goal})" if goal is not None else ""))
        print(f"| {p.loop.name} | {p.compiler} | {p.instructions} | {p.stack} | " + " | ".join(row) + " |")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
