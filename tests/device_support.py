"""What tests of firmware and devices share: hand-written models, and the protocol as a host program."""

from __future__ import annotations

import json
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INPUT_BYTES = 16
OUTPUTS = 12

needs_firmware_tools = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
needs_emulator = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="arm-none-eabi-gcc or qemu-system-arm is not installed",
)

_HEADER = """#ifndef PROBE_H
#define PROBE_H
#include "ebnn.h"
extern const ebnn_model_t probe_model;
#define PROBE_ARENA_SIZE 48
#define PROBE_INPUT_SIZE 16
#endif
"""

_MODEL_HEADER = """#include "probe.h"
#define EBNN_MODEL probe_model
#define EBNN_MODEL_ARENA_SIZE PROBE_ARENA_SIZE
#define EBNN_MODEL_INPUT_SIZE PROBE_INPUT_SIZE
"""

# Two layers whose result is easy to know: 16 bytes inverted (and, as a second output, the first 8 as they are), and
# the first 12 of them with some bits flipped.
_PROBE = """#include "probe.h"

static ebnn_status_t ebnn_invert(const void *params, const ebnn_io_t *io) {
    const uint32_t n = *(const uint32_t *)params;
    for (uint32_t i = 0; i < n; i++) {
        ((uint8_t *)io->out)[i] = (uint8_t)~((const uint8_t *)io->in[0])[i];
    }
    for (uint32_t i = 0; i < 8u; i++) {
        ((uint8_t *)io->out2)[i] = ((const uint8_t *)io->in[0])[i];
    }
    return EBNN_OK;
}

/* An input that starts with 0x6f (inverted: 0x90) makes this layer fail. */
static ebnn_status_t ebnn_mix(const void *params, const ebnn_io_t *io) {
    const uint32_t n = *(const uint32_t *)params;
    const uint8_t *in = io->in[0];
    if (in[0] == 0x90u) {
        return EBNN_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; i < n; i++) {
        ((uint8_t *)io->out)[i] = in[i] ^ 0x55u;
    }
    return EBNN_OK;
}

static const uint32_t sizes[2] = {16, 12};
static const ebnn_op_t ops[2] = {
    {.kernel = ebnn_invert, .params = &sizes[0], .in = {0, EBNN_NONE}, .out = 16, .out2 = 32,
     .scratch = EBNN_NONE},
    {.kernel = ebnn_mix, .params = &sizes[1], .in = {16, EBNN_NONE}, .out = 0, .out2 = EBNN_NONE,
     .scratch = EBNN_NONE},
};
#define TENSOR(place, bytes, rows, channels) \\
    {.offset = place, .size = bytes, .h = rows, .w = 1, .c = channels, .dtype = EBNN_S8, \\
     .layout = EBNN_NHWC, .zero_point = -128, .scale_q31 = 1 << 30, .scale_exp = -7}
static const ebnn_op_info_t info[2] = {
    {.name = "first layer", .op = "invert", .kernel = "ebnn_invert", .macs = 16, .out = TENSOR(16, 16, 4, 4),
     .out2 = TENSOR(32, 8, 1, 8)},
    {.name = "mix", .op = "mix,[up]", .kernel = "ebnn_mix", .macs = 12, .out = TENSOR(0, 12, 1, 12)},
};
static const char *const labels[3] = {"yes", "no", "left,[%]"};
const ebnn_model_t probe_model = {
    .abi = EBNN_ABI, .crc = CRC, .name = "probe", .ops = ops, .info = info, .n_ops = 2, .arena_size = 48,
    .input = TENSOR(0, 16, 4, 4), .output = TENSOR(0, 12, 1, 12), .labels = labels, .n_labels = 3,
};
"""

# Each layer executes 2 instructions more per iteration, so that counts can be checked to one instruction.
_LADDER = """#include "probe.h"

static ebnn_status_t ebnn_loop(const void *params, const ebnn_io_t *io) {
    uint32_t n = *(const uint32_t *)params;
    (void)io;
    __asm volatile(".syntax unified\\n1: subs %0, %0, #1\\n bne 1b" : "+l"(n) : : "cc");
    return EBNN_OK;
}

static const uint32_t iterations[] = {ITERATIONS};
#define TENSOR \\
    {.offset = 0, .size = 16, .h = 1, .w = 1, .c = 16, .dtype = EBNN_S8, .scale_q31 = 1 << 30}
static const ebnn_op_t ops[] = {OPS};
const ebnn_model_t probe_model = {.abi = EBNN_ABI, .crc = CRC, .name = "probe", .ops = ops,
                                  .n_ops = sizeof ops / sizeof ops[0], .arena_size = 16,
                                  .input = TENSOR, .output = TENSOR};
"""


def _write(folder: Path, source: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "probe.ebnn").write_bytes(b"a model of the tests")
    crc = zlib.crc32((folder / "probe.ebnn").read_bytes())
    (folder / "probe.h").write_text(_HEADER)
    (folder / "ebnn_model.h").write_text(_MODEL_HEADER)
    (folder / "probe.c").write_text(source.replace("CRC,", f"0x{crc:08x}u,"))
    (folder / "report.json").write_text(json.dumps({"name": "probe", "sources": []}))
    return folder


def write_probe(folder: Path) -> Path:
    """Writes a converted model, as `edgebnn convert` would, that computes probe_layers()."""
    return _write(folder, _PROBE)


def write_ladder(folder: Path, iterations: list[int]) -> Path:
    """Writes a model whose layer i executes 2 * iterations[i] instructions and a constant."""
    op = "{.kernel = ebnn_loop, .params = &iterations[%d], .in = {0, EBNN_NONE}, .out = 0,"
    op += " .out2 = EBNN_NONE, .scratch = EBNN_NONE}"
    ops = ",\n".join(op % i for i in range(len(iterations)))
    source = _LADDER.replace("{ITERATIONS}", "{" + ", ".join(map(str, iterations)) + "}")
    return _write(folder, source.replace("{OPS}", "{" + ops + "}"))


def probe_layers(data: bytes) -> list[bytes]:
    """The first outputs of the layers of the model of write_probe()."""
    inverted = bytes(255 - value for value in data)
    return [inverted, bytes(value ^ 0x55 for value in inverted[:OUTPUTS])]


def probe_tensors(data: bytes) -> list[bytes]:
    """The outputs of those layers, second outputs too."""
    first, mixed = probe_layers(data)
    return [first, data[:8], mixed]


def probe_results(data: bytes) -> tuple[float, ...]:
    """The output of the model of write_probe() as `results` rounds it: (q + 128) / 256."""
    values = (value if value < 128 else value - 256 for value in probe_layers(data)[-1])
    # Half away from zero, of a value that is never negative.
    return tuple((2000 * (value + 128) + 256) // 512 / 1000 for value in values)


def build_host(folder: Path, model: Path) -> Path:
    """Compiles protocol and model for this machine, with sanitizers. Skips where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for this machine")
    firmware, kernels = ROOT / "firmware", ROOT / "cmsis_kernels"
    program = folder / "firmware_host"
    sources = [path for path in sorted((firmware / "app").glob("*.c")) if path.name != "main.c"]
    command = [
        *(compiler, "-std=gnu99", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(f"-I{path}" for path in (firmware / "app", kernels / "include", model)),
        *map(str, (*sources, kernels / "src" / "ebnn_run.c", model / "probe.c")),
        *(str(ROOT / "tests" / "firmware_host" / "main.c"), "-o", str(program)),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program
