"""Building firmware: the SCons build alone and through edgebnn.device.build, its sizes and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from device_support import ROOT, needs_firmware_tools, write_ladder, write_probe

from edgebnn.cli.boards import boards as boards_command
from edgebnn.cli.build import build as build_command
from edgebnn.device import boards, elf
from edgebnn.device.build import build
from edgebnn.errors import EdgebnnError, ModelError, ToolchainError, UsageError

CORES = {
    "microbit": "cortex-m0",
    "mps2-an385": "cortex-m3",
    "mps2-an386": "cortex-m4",
    "mps2-an500": "cortex-m7",
    "mps2-an505": "cortex-m33",
    "mps3-an547": "cortex-m55",
    "netduinoplus2": "cortex-m4",
}


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    return write_probe(tmp_path / "probe")


def edit_report(folder: Path, **changes: object) -> None:
    path = folder / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_boards_and_their_cores() -> None:
    assert set(CORES) <= set(boards.names())
    for name in boards.names():
        board = boards.load(name)
        assert board.target == CORES.get(name, board.target)
        assert "not run on hardware" in board.status
        assert board.flash_size >= 65536 and board.ram_size >= 16384


def test_boards_command() -> None:
    document = json.loads(CliRunner().invoke(boards_command, ["--json"]).stdout)
    assert [board["name"] for board in document["boards"]] == boards.names()
    table = CliRunner().invoke(boards_command, []).stdout
    assert "mps2-an386" in table and "not run on" in table


@needs_firmware_tools
def test_sizes_are_those_of_the_image(probe: Path) -> None:
    result = build(probe, "mps2-an386")
    assert result.elf == probe / "build" / "mps2-an386" / "firmware.elf"
    command = ["arm-none-eabi-size", str(result.elf)]
    text, data, bss = map(int, subprocess.check_output(command, text=True).splitlines()[1].split()[:3])
    sizes = result.sizes
    assert (sizes.text + sizes.rodata, sizes.data) == (text, data)
    assert sizes.bss + sizes.stack == bss
    assert sizes.flash == text + data and sizes.ram == data + bss
    assert {"ebnn_run_op", "ebnn_check", "ebnn_invert", "ebnn_mix"} <= set(sizes.symbols)
    # The parts of the map make up the image, but for the linker's padding.
    assert set(sizes.groups) == {"firmware", "library", "model", "runtime"}
    assert 0 <= sizes.flash - sizes.data - sum(sizes.groups.values()) < 64
    assert sizes.groups["runtime"] < 1024


def test_map_parts_leave_out_what_was_dropped() -> None:
    text = """Discarded input sections
 .text.gone     0x0000000000000000       0x40 /x/obj/kernels/src/gone.o
Linker script and memory map
 .text.ebnn_run
                0x0000000000000100       0x20 /x/obj/kernels/src/ebnn_run.o
 .rodata        0x0000000000000200       0x10 /x/obj/model/kws.o
 .text          0x0000000000000300        0x8 /usr/lib/libgcc.a(_udivdi3.o)
 .bss.arena     0x0000000020000000     0x1000 /x/obj/firmware/app/main.o
"""
    assert elf.flash_by_part(text) == {"runtime": 32, "model": 16, "library": 8}


@needs_firmware_tools
def test_second_build_compiles_nothing_and_a_change_is_seen(probe: Path) -> None:
    image = build(probe, "mps2-an386").elf
    before = image.stat().st_mtime_ns
    assert build(probe, "mps2-an386").elf.stat().st_mtime_ns == before
    source = probe / "probe.c"
    source.write_text(source.read_text().replace("0x55u", "0x56u"))
    assert build(probe, "mps2-an386").elf.stat().st_mtime_ns > before


@needs_firmware_tools
def test_same_input_gives_same_bytes_anywhere(tmp_path: Path) -> None:
    images = []
    for name in ("one", "another/place"):
        folder = write_probe(tmp_path / name)
        images.append(build(folder, "microbit", out=tmp_path / name / "out").elf.read_bytes())
    assert images[0] == images[1]


@needs_firmware_tools
def test_scons_works_alone(probe: Path) -> None:
    command = [sys.executable, "-m", "SCons", "-Q", "-f", str(ROOT / "firmware" / "SConstruct")]
    command += ["-C", str(ROOT / "firmware"), "board=mps2-an386", f"model={probe}", "opt=s", "debug=1"]
    subprocess.run(command, check=True, capture_output=True)
    assert (probe / "build" / "mps2-an386" / "firmware.elf").stat().st_size > 10000
    wrong = subprocess.run([*command[:-1], "optimise=3"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "error: unknown option optimise" in wrong.stderr


@needs_firmware_tools
def test_energy_mode_and_levels_change_the_image(probe: Path, tmp_path: Path) -> None:
    normal = build(probe, "mps2-an386").elf.read_bytes()
    energy = build(probe, "mps2-an386", out=tmp_path / "e", mode="energy").elf.read_bytes()
    named = build(probe, "mps2-an386", out=tmp_path / "n", mlperf_model="kws01").elf.read_bytes()
    assert len({normal, energy, named}) == 3
    assert b"kws01" in named


def refused(kind: type[EdgebnnError], words: str, folder: Path, board: str = "mps2-an386") -> None:
    with pytest.raises(kind) as caught:
        build(folder, board)
    assert words in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_errors_of_the_arguments(probe: Path, tmp_path: Path) -> None:
    refused(UsageError, "no such folder", tmp_path / "nothing")
    refused(UsageError, "holds no report.json", tmp_path)
    with pytest.raises(UsageError, match="unknown board 'mps2-an38'") as caught:
        build(probe, "mps2-an38")
    assert caught.value.hint == "did you mean 'mps2-an386'?"
    edit_report(probe, target="cortex-m7")
    refused(UsageError, "converted for cortex-m7, but mps2-an386 is a cortex-m4", probe)


def test_errors_of_a_damaged_folder(probe: Path) -> None:
    (probe / "report.json").write_text("{")
    refused(ModelError, "damaged", probe)
    (probe / "report.json").write_text('{"name": "../x", "sources": []}')
    refused(ModelError, "damaged", probe)
    (probe / "report.json").write_text('{"name": "probe", "sources": []}')
    (probe / "probe.c").unlink()
    refused(ModelError, "probe.c: missing", probe)


@needs_firmware_tools
def test_foreign_sources_are_not_compiled(probe: Path) -> None:
    for source in ("../secret.c", "/etc/passwd", "src/nothing.c"):
        edit_report(probe, sources=[source])
        refused(ToolchainError, f"source {source} is not part of the kernels", probe)


def test_no_compiler(probe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolchainError, match="arm-none-eabi-gcc is not installed") as caught:
        build(probe, "mps2-an386")
    assert caught.value.hint is not None and "gcc-arm-none-eabi" in caught.value.hint
    result = CliRunner().invoke(build_command, [str(probe), "--board", "mps2-an386"])
    assert isinstance(result.exception, ToolchainError) and result.exception.exit_code == 4
    assert not (probe / "build").exists()


@needs_firmware_tools
def test_an_image_that_does_not_fit(probe: Path) -> None:
    header = probe / "probe.h"
    header.write_text(header.read_text().replace("PROBE_ARENA_SIZE 48", "PROBE_ARENA_SIZE 20000"))
    refused(ModelError, "does not fit microbit: RAM of 16384 bytes exceeded by", probe, "microbit")
    assert not (probe / "build" / "microbit" / "firmware.elf").exists()


@needs_firmware_tools
def test_warnings_are_errors(probe: Path) -> None:
    source = probe / "probe.c"
    source.write_text(source.read_text() + "static int unused_thing;\n")
    refused(ToolchainError, "unused_thing", probe)


@needs_firmware_tools
@pytest.mark.parametrize("name", boards.names())
def test_every_board_builds(name: str, tmp_path: Path) -> None:
    result = build(write_ladder(tmp_path, [1, 2]), name, opt="s")
    board = boards.load(name)
    assert 0 < result.sizes.flash < board.flash_size
    assert 0 < result.sizes.ram < board.ram_size


@needs_firmware_tools
def test_build_command_json(probe: Path) -> None:
    result = CliRunner().invoke(build_command, [str(probe), "--board", "mps2-an386", "--json"])
    document = json.loads(result.stdout)
    assert document["board"] == "mps2-an386"
    assert os.path.isfile(document["elf"])
    assert document["flash"]["total"] == sum(document["flash"][key] for key in ("text", "rodata", "data"))
    assert document["ram"]["total"] == sum(document["ram"][key] for key in ("data", "bss", "stack"))
    table = CliRunner().invoke(build_command, [str(probe), "--board", "mps2-an386"]).stdout
    assert "ebnn_run_op" in table and f"{document['flash']['total']:,}" in table


def test_boards_without_an_emulator_cannot_be_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgebnn.device.qemu import Qemu

    real = replace(boards.load("mps2-an386"), emulator=None)
    monkeypatch.setattr(boards, "load", lambda name: real)
    with pytest.raises(UsageError, match="has no emulator"):
        Qemu(tmp_path / "x.elf", "mps2-an386")
