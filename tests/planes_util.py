"""What the tests of the bucketed kernels share: the compiled kernels, random layers, a plain reference."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from edgebnn.host.cdefs import cdef
from edgebnn.host.runtime import fill_struct
from edgebnn.plan.kernels import kernels
from edgebnn.plan.pack_planes import Packed

ROOT = Path(__file__).resolve().parents[1] / "cmsis_kernels"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"]
GUARD = 64


KERNELS = tuple(
    k.symbol
    for k in kernels().values()
    if k.isa in ("portable", "cortex_m4")
    and k.struct
    in (
        "ebnn_bconv_lanes_params_t",
        "ebnn_bconv_bits_params_t",
        "ebnn_bdense_bits_params_t",
        "ebnn_bdense_sums_params_t",
    )
)


@functools.cache
def library() -> tuple[Any, Any]:
    """(ffi, lib) of the kernels under test, compiled with warnings as errors."""
    ffi = cffi.FFI()
    core, arm = ROOT / "src" / "core", ROOT / "src" / "cortex_m"
    sources = [
        *core.glob("lanes*.c"),
        *core.glob("bits*.c"),
        *core.glob("window.c"),
        *arm.glob("blanes*.c"),
        *arm.glob("bbits*.c"),
    ]
    ffi.cdef(cdef(ROOT, sources))
    for name in KERNELS:
        ffi.cdef(f"int {name}(const void *params, const ebnn_io_t *io);")
    folder = Path(tempfile.mkdtemp())
    includes = [f"-I{ROOT / 'include'}"]
    command = ["gcc", "-O2", "-std=c99", "-shared", "-fPIC", *WARNINGS, *includes, *map(str, sources)]
    subprocess.run([*command, "-o", str(folder / "planes.so")], check=True)
    return ffi, ffi.dlopen(str(folder / "planes.so"))


@dataclass(frozen=True)
class Layer:
    """A random low-bit convolution."""

    codes: np.ndarray
    kind: str
    dtype: str
    pad_one: bool
    dims: dict[str, int]
    out: str
    epilogue: dict[str, Any]
    x: np.ndarray  # (H, W, C); b1: -1/+1
    residual: np.ndarray | None

    @property
    def out_c(self) -> int:
        return int(self.codes.shape[0])


def random_layer(
    rng: np.random.Generator,
    dtype: str | None = None,
    in_c: int | None = None,
    out_c: int | None = None,
    kernel: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    kind: str | None = None,
    out: str | None = None,
    plus: float = 0.5,
    pad_one: bool | None = None,
    stride: tuple[int, int] | None = None,
    same: bool = False,
) -> Layer:
    """Random shape, strides, padding, weights and epilogue, within what is given."""
    dtype = dtype or str(rng.choice(["b1", "u2", "u3", "u4"]))
    kind = kind or str(rng.choice(["binary", "binary", "ternary", "two_plane"]))
    out = out or str(rng.choice(["s8", "s8", "s32", "b1"]))
    in_c = in_c or int(rng.integers(1, 40))
    out_c = out_c or int(rng.integers(1, 15))
    kh, kw = kernel or tuple(int(v) for v in rng.integers(1, 5, 2))
    h, w = size or tuple(int(v) for v in rng.integers(1, 14, 2))
    pick = rng.integers(0, 4)
    sh, sw = stride or ((1, 1) if pick else tuple(int(v) for v in rng.integers(1, 4, 2)))
    dh, dw = (1, 1) if same or rng.integers(4) else tuple(int(v) for v in rng.integers(1, 3, 2))
    eh, ew = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    if same or rng.integers(2):  # "same" padding, else any
        ph, pw, after_h, after_w = (eh - 1) // 2, (ew - 1) // 2, eh // 2, ew // 2
    else:
        ph, pw, after_h, after_w = (int(v) for v in rng.integers(0, 3, 4))
    h, w = max(h, eh - ph - after_h), max(w, ew - pw - after_w)
    dims = {
        "in_h": h, "in_w": w, "in_c": in_c, "out_h": (h + ph + after_h - eh) // sh + 1,
        "out_w": (w + pw + after_w - ew) // sw + 1, "out_c": out_c, "kernel_h": kh, "kernel_w": kw, "stride_h": sh,
        "stride_w": sw, "pad_h": ph, "pad_w": pw, "dilation_h": dh, "dilation_w": dw,
    }  # fmt: skip
    values = {"binary": (-1, 1), "ternary": (-1, 0, 1), "two_plane": (-3, -1, 1, 3)}[kind]
    half = (1 - plus) / (len(values) // 2)
    chance = [half, plus] if kind == "binary" else np.full(len(values), 1 / len(values))
    codes = rng.choice(values, (out_c, kh, kw, in_c), p=chance).astype(np.int8)
    x = (
        rng.choice([-1, 1], (h, w, in_c))
        if dtype == "b1"
        else rng.integers(0, 2 ** int(dtype[1]), (h, w, in_c))
    )
    one = bool(rng.integers(2)) if pad_one is None else pad_one
    e: dict[str, Any] = {"out_dtype": {"s8": 8, "s32": 32, "b1": 1}[out], "act_min": -128, "act_max": 127}
    spread = float(np.sqrt(codes[0].size) * (1 if dtype == "b1" else 2 ** int(dtype[1]) / 2))
    residual = None
    if out == "b1" and rng.integers(3):
        e["threshold"] = rng.normal(0, spread, out_c).astype(np.int32)
        e["threshold"][rng.random(out_c) < 0.1] = rng.choice([-(2**31), 2**31 - 1])
    elif out != "s32":
        shift = int(rng.integers(3, 17))
        e |= {"shift": shift, "combine": int(rng.choice([0, 0, 1, 2]))}
        for i in ("", "2"):
            gain = rng.normal(0, 60 / spread, out_c) * 2.0**shift
            e[f"mul{i}"] = np.clip(gain, -32767, 32767).astype(np.int16)
            e[f"add{i}"] = (rng.normal(0, 20, out_c) * 2.0**shift).astype(np.int32)
        if rng.integers(4) == 0:
            e |= {"act_min": int(rng.integers(-128, 0)), "act_max": int(rng.integers(0, 128))}
        if out == "s8" and rng.integers(2):
            e["residual"] = 1
            residual = rng.integers(-128, 128, (dims["out_h"], dims["out_w"], out_c))
    return Layer(codes, kind, dtype, one, dims, out, e, x, residual)


def reference(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """(accumulators, outputs), each (out_h, out_w, out_c), tap by tap."""
    d, w = layer.dims, layer.codes.astype(np.int64)
    acc = np.zeros((d["out_h"], d["out_w"], layer.out_c), np.int64)
    outside = (
        np.ones(d["in_c"], np.int64)
        if layer.dtype == "b1" and layer.pad_one
        else np.zeros(d["in_c"], np.int64)
    )
    for oy in range(d["out_h"]):
        for ox in range(d["out_w"]):
            for ky in range(d["kernel_h"]):
                for kx in range(d["kernel_w"]):
                    y = oy * d["stride_h"] + ky * d["dilation_h"] - d["pad_h"]
                    x = ox * d["stride_w"] + kx * d["dilation_w"] - d["pad_w"]
                    inside = 0 <= y < d["in_h"] and 0 <= x < d["in_w"]
                    acc[oy, ox] += w[:, ky, kx] @ (layer.x[y, x] if inside else outside)
    e = layer.epilogue
    if layer.out == "s32":
        return acc, acc
    if "threshold" in e:
        return acc, np.where(acc < e["threshold"], -1, 1)
    t = acc * e["mul"].astype(np.int64) + e["add"]
    if e["combine"]:
        u = acc * e["mul2"].astype(np.int64) + e["add2"]
        t = np.maximum(t, u) if e["combine"] == 1 else np.minimum(t, u)
    if layer.out == "b1":
        return acc, np.where(t < 0, -1, 1)
    y = (t >> e["shift"]) + (0 if layer.residual is None else layer.residual)
    return acc, np.clip(y, e["act_min"], e["act_max"])


def nibbles(x: np.ndarray, dtype: str) -> np.ndarray:
    """Codes (H, W, C) as stored in EBNN_NIBBLES: uint32 (C, words)."""
    code = ((x < 0) if dtype == "b1" else x).reshape(-1, x.shape[-1]).T.astype(np.uint32)
    padded = np.zeros((code.shape[0], -(-code.shape[1] // 8) * 8), np.uint32)
    padded[:, : code.shape[1]] = code
    shifts = 4 * np.arange(8, dtype=np.uint32)
    return np.bitwise_or.reduce(padded.reshape(code.shape[0], -1, 8) << shifts, axis=2).astype(np.uint32)


def unpack_nibbles(data: bytes, channels: int, pixels: int) -> np.ndarray:
    """(C, pixels) of EBNN_NIBBLES; asserts that unused lanes are 0."""
    words = np.frombuffer(data, np.uint32).reshape(channels, -1)
    codes = (words[:, :, None] >> (4 * np.arange(8, dtype=np.uint32))) & 15
    flat = codes.reshape(channels, -1).astype(int)
    assert not flat[:, pixels:].any()
    return np.asarray(flat[:, :pixels])


def bit_planes(x: np.ndarray) -> np.ndarray:
    """b1 codes (H, W, C) as stored in EBNN_PLANES: uint32 (C, words)."""
    bits = (x < 0).reshape(-1, x.shape[-1]).T
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // 32) * 32), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def unpack_planes(data: bytes, channels: int, pixels: int) -> np.ndarray:
    """(C, pixels) bits of b1 EBNN_PLANES; asserts that unused lanes are 0."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(channels, -1), axis=1, bitorder="little")
    assert not bits[:, pixels:].any()
    return np.asarray(bits[:, :pixels]).astype(int)


def _guarded(content: bytes | int) -> tuple[np.ndarray, int]:
    """A buffer with guard bytes on both sides, 16-byte aligned; (all, address of the content)."""
    data = bytes(content) if isinstance(content, bytes) else b"\xaa" * content
    raw = np.full(len(data) + 2 * GUARD + 16, 0x5A, np.uint8)
    start = -raw.ctypes.data % 16 + GUARD
    raw[start : start + len(data)] = np.frombuffer(data, np.uint8)
    return raw, raw.ctypes.data + start


def run_kernel(
    kernel: str,
    struct: str,
    packed: Packed,
    inputs: list[np.ndarray],
    size: int,
    size2: int = 0,
    over_residual: bool = False,
) -> tuple[bytes, bytes]:
    """Runs a kernel in guarded buffers; its outputs. Checks the scratch size and the guards. ``over_residual``: the
    output is stored over the second input, of the same size."""
    ffi, lib = library()
    keep: list[Any] = []
    params = fill_struct(ffi, struct, packed.params, keep)
    assert getattr(lib, f"{kernel}_get_buffer_size")(params) == packed.scratch
    buffers = [_guarded(np.ascontiguousarray(x).tobytes()) for x in inputs]
    outs = [buffers[1] if over_residual else _guarded(size), _guarded(size2), _guarded(packed.scratch)]
    io = ffi.new("ebnn_io_t *")
    for i, (_, at) in enumerate(buffers):
        getattr(io, "in")[i] = ffi.cast("void *", at)
    io.out, io.out2, io.scratch = (ffi.cast("void *", at) for _, at in outs)
    assert getattr(lib, kernel)(params, io) == 0
    results = []
    for (raw, at), n in zip(outs, (size, size2, packed.scratch), strict=True):
        start = at - raw.ctypes.data
        assert (raw[start - GUARD : start] == 0x5A).all() and (raw[start + n :] == 0x5A).all(), (
            "wrote outside"
        )
        results.append(raw[start : start + n].tobytes())
    return results[0], results[1]
