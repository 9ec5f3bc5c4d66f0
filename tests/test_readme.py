"""README.md tells the truth: its commands exist, its options are accepted, its C compiles."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from edgebnn import csrc, ir, targets
from edgebnn.cli import COMMANDS, cli
from edgebnn.emit import emit
from edgebnn.plan import plan

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text()
SHELL = [line.strip() for line in TEXT.splitlines() if line.startswith("    edgebnn ")]


def test_every_command_is_in_the_table() -> None:
    named = set(re.findall(r"`edgebnn ([a-z]+)", TEXT))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("line", SHELL)
def test_command_lines_parse(line: str) -> None:
    _, name, *args = shlex.split(line.split("#")[0])
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, args)  # raises for an unknown option or a missing argument


def test_targets_and_boards_of_the_commands_exist() -> None:
    assert set(re.findall(r"--target (\S+)", " ".join(SHELL))) <= set(targets.names())


def test_c_example_compiles(tiny_graph: ir.Graph, tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    emit(plan(tiny_graph, targets.load("cortex-m4")), tmp_path)
    code = re.search(r'(?ms)^    #include "kws.h".*?^    }$', TEXT)
    assert code is not None
    source = "\n".join(line[4:] for line in code[0].splitlines())
    (tmp_path / "use.c").write_text(source.replace("KWS_", "TINY_").replace("kws", "tiny") + "\n")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-I", csrc.kernels_dir() / "include", "-I", tmp_path]
    subprocess.run([compiler, *flags, "-c", tmp_path / "use.c", "-o", tmp_path / "use.o"], check=True)
