"""What the tests of the Cortex-M s8 kernels share: a host build of the C, guarded buffers, a NumPy reference."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI

from edgebnn.host import cdefs
from edgebnn.ir.fixed import requantize

KERNELS = Path(__file__).resolve().parent.parent / "cmsis_kernels"
CORTEX_M = KERNELS / "src" / "cortex_m"
INCLUDES = (KERNELS / "include", CORTEX_M, KERNELS / "src" / "portable")
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")


def headers() -> list[Path]:
    return [KERNELS / "include" / n for n in cdefs.headers(KERNELS)]


def sources() -> list[Path]:
    """The s8 kernels; the lanes kernels' s8 epilogue is no kernel of its own."""
    return sorted(s for s in CORTEX_M.glob("*_s8*.c") if not s.name.startswith("blanes_"))


class Guarded:
    """``size`` bytes that end at an inaccessible page and begin with canaries: a read or write past the end kills the
    process, a write before the start is found by ``check``."""

    def __init__(self, content: int | np.ndarray) -> None:
        data = bytes(content) if isinstance(content, int) else np.ascontiguousarray(content).tobytes()
        page = mmap.PAGESIZE
        pages = -(-(len(data) + 64) // page)
        self._map = mmap.mmap(-1, (pages + 1) * page)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(base + pages * page), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.size = len(data)
        self.at = pages * page - len(data)
        self._map[: self.at] = b"\xa5" * self.at
        self._map[self.at : self.at + self.size] = data
        self.address = base + self.at

    def read(self, dtype: Any = np.int8) -> np.ndarray:
        return np.frombuffer(self._map[self.at : self.at + self.size], dtype)

    def check(self) -> None:
        assert self._map[: self.at] == b"\xa5" * self.at, "wrote before the buffer"


@dataclass
class Host:
    """The kernels compiled for this machine (plain C twins of the intrinsics)."""

    ffi: FFI
    lib: Any
    keep: list[Any] = field(default_factory=list)

    @classmethod
    def build(cls, folder: Path) -> Host:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler")
        library = folder / "s8_kernels.so"
        command = [compiler, "-std=c99", "-O2", "-shared", "-fPIC", "-fsanitize=undefined", *WARNINGS]
        command += ["-fno-sanitize=alignment,nonnull-attribute", "-fno-sanitize-recover=undefined"]
        command += [f"-I{i}" for i in INCLUDES] + [str(s) for s in sources()] + ["-o", str(library)]
        subprocess.run(command, check=True)
        ffi = FFI()
        ffi.cdef(cdefs.cdef(KERNELS))
        for source in sources():
            for name in _kernels_of(source):
                ffi.cdef(f"ebnn_status_t {name}(const void *params, const ebnn_io_t *io);")
                if f"{name}_get_buffer_size" in _header_text():
                    ffi.cdef(f"uint32_t {name}_get_buffer_size(const void *params);")
        return cls(ffi, ffi.dlopen(str(library)))

    def struct(self, name: str, values: dict[str, Any]) -> Any:
        """A filled params struct; arrays end at guard pages, None is NULL."""
        p = self.ffi.new(f"{name} *")
        self._fill(p, values)
        return p

    def _fill(self, p: Any, values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                self._fill(getattr(p, key), value)
            elif isinstance(value, np.ndarray):
                guarded = Guarded(value)
                self.keep.append(guarded)
                setattr(p, key, self.ffi.cast("void *", guarded.address))
            elif value is not None:
                setattr(p, key, value)

    def run(
        self, kernel: str, struct: str, values: dict[str, Any], inputs: Sequence[np.ndarray], out_size: int
    ) -> np.ndarray:
        """Runs a kernel with guarded buffers of exactly the sizes it may touch; returns the output's bytes."""
        self.keep.clear()
        p = self.struct(struct, values)
        size = getattr(self.lib, f"{kernel}_get_buffer_size")(p) if self.scratch_function(kernel) else 0
        buffers = [Guarded(x) for x in inputs]
        out = Guarded(np.full(out_size, 0x5A, np.uint8))
        scratch = Guarded(np.full(size, 0x33, np.uint8))
        io = self.ffi.new("ebnn_io_t *")
        for i, b in enumerate(buffers):
            getattr(io, "in")[i] = self.ffi.cast("void *", b.address)
        io.out = self.ffi.cast("void *", out.address)
        io.scratch = self.ffi.cast("void *", scratch.address) if size else self.ffi.NULL
        assert getattr(self.lib, kernel)(p, io) == 0
        for b, x in zip(buffers, inputs, strict=True):
            assert b.read(np.uint8).tobytes() == x.tobytes(), "wrote to an input"
        for b in (*buffers, out, scratch, *self.keep):
            b.check()
        return out.read()

    def scratch_function(self, kernel: str) -> bool:
        return f"{kernel}_get_buffer_size" in _header_text()


def _header_text() -> str:
    return "".join(h.read_text() for h in headers())


def _kernels_of(source: Path) -> list[str]:
    text = source.read_text()
    found = [w.split("(")[0] for w in text.split() if w.startswith("ebnn_") and "__cortex_m4(" in w]
    return sorted({w for w in found if f"ebnn_status_t {w}(const void *params" in text})


@dataclass
class ConvCase:
    """A random s8 convolution, depthwise convolution or dense layer and its reference output."""

    x: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    zero_in: int
    zero_out: int
    act: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    out_hw: tuple[int, int]
    chw: bool = False
    depthwise: bool = False

    @property
    def out_c(self) -> int:
        return self.weights.shape[-1] if self.depthwise else self.weights.shape[0]

    @property
    def macs(self) -> int:
        return self.out_hw[0] * self.out_hw[1] * self.weights.size

    def dims(self) -> dict[str, int]:
        kernel = self.weights.shape[:2] if self.depthwise else self.weights.shape[1:3]
        names = "in_h in_w in_c out_h out_w out_c kernel_h kernel_w stride_h stride_w pad_h pad_w dilation_h dilation_w"
        values = (*self.x.shape, *self.out_hw, self.out_c, *kernel, *self.stride, *self.pad, *self.dilation)
        return dict(zip(names.split(), (int(v) for v in values), strict=True))

    def fields(self, packed: Any) -> dict[str, Any]:
        return {
            "dims": self.dims(),
            "weights": packed.weights,
            "bias": packed.bias,
            "multiplier": self.multiplier,
            "shift": self.shift,
            "input_offset": -self.zero_in,
            "output_offset": self.zero_out,
            "act_min": self.act[0],
            "act_max": self.act[1],
            "out_layout": int(self.chw),
        }

    def windows(self) -> np.ndarray:
        """Input minus zero point under every tap: [out_h, out_w, kernel_h, kernel_w, in_c]."""
        d = self.dims()
        return windows(self.x.astype(np.int64) - self.zero_in, d)

    def accumulators(self) -> np.ndarray:
        w = self.weights.astype(np.int64)
        if not self.depthwise:
            return np.einsum("yxijc,oijc->yxo", self.windows(), w) + self.bias
        repeated = np.repeat(self.windows(), w.shape[-1] // self.x.shape[-1], axis=-1)
        return np.einsum("yxijc,ijc->yxc", repeated, w) + self.bias

    def reference(self) -> np.ndarray:
        acc = self.accumulators()
        y = requantize(acc, self.multiplier.astype(np.int64), self.shift.astype(np.int64)) + self.zero_out
        return store(np.clip(y, *self.act).astype(np.int8), self.chw)


def windows(x: np.ndarray, d: dict[str, int]) -> np.ndarray:
    """x [h, w, c] under every tap, 0 outside: [out_h, out_w, kernel_h, kernel_w, c]."""
    out = np.zeros((d["out_h"], d["out_w"], d["kernel_h"], d["kernel_w"], x.shape[2]), x.dtype)
    for ky, kx in itertools.product(range(d["kernel_h"]), range(d["kernel_w"])):
        ys = np.arange(d["out_h"]) * d["stride_h"] + ky * d["dilation_h"] - d["pad_h"]
        xs = np.arange(d["out_w"]) * d["stride_w"] + kx * d["dilation_w"] - d["pad_w"]
        iy = np.nonzero((ys >= 0) & (ys < x.shape[0]))[0]
        ix = np.nonzero((xs >= 0) & (xs < x.shape[1]))[0]
        out[np.ix_(iy, ix, [ky], [kx])] = x[np.ix_(ys[iy], xs[ix])][:, :, None, None]
    return out


def store(y: np.ndarray, chw: bool) -> np.ndarray:
    """[h, w, c] as the device stores it."""
    if not chw:
        return np.ascontiguousarray(y).reshape(-1)
    h, w, c = y.shape
    out = np.zeros((c, (h * w + 3) // 4 * 4), y.dtype)
    out[:, : h * w] = y.reshape(h * w, c).T
    return out.reshape(-1)


def conv_case(rng: np.random.Generator, depthwise: bool = False, **fixed: Any) -> ConvCase:
    """A random case; ``fixed``: h, w, in_c, out_c (multiplier of a depthwise), kernel, stride, pad, dilation, chw.

    CHW where the output has less than four pixels, as the convolution kernel needs it.
    """

    def pick(name: str, *values: Any) -> Any:
        return fixed[name] if name in fixed else values[rng.integers(len(values))]

    while True:
        h, w = pick("h", 1, 2, 3, 5, 8, 11), pick("w", 1, 2, 4, 5, 7)
        in_c = pick("in_c", 1, 2, 3, 4, 5, 8, 12, 17)
        kernel = pick("kernel", (1, 1), (3, 3), (2, 3), (5, 1), (1, 4), (4, 4), (3, 5))
        stride, dilation = (
            pick("stride", (1, 1), (1, 1), (2, 2), (2, 1), (1, 3)),
            pick("dilation", (1, 1), (1, 1), (2, 1), (1, 2)),
        )
        pad = pick("pad", (0, 0), (1, 1), (2, 0), (0, 2), (1, 2))
        after = fixed.get("pad_after", pad)
        out_hw = tuple(
            (n + a + b - ((k - 1) * d + 1)) // s + 1
            for n, a, b, k, d, s in zip((h, w), pad, after, kernel, dilation, stride, strict=True)
        )
        if min(out_hw) > 0:
            break
    out_c = in_c * pick("multiplier", 1, 1, 1, 2, 3) if depthwise else pick("out_c", 1, 2, 3, 4, 6, 9)
    shape = (*kernel, out_c) if depthwise else (out_c, *kernel, in_c)
    depth = kernel[0] * kernel[1] * (1 if depthwise else in_c)
    typical = int(np.log2(depth) / 2 + 6)
    shift = rng.integers(-typical - 3, -typical + 3, out_c)
    if pick("left", False, False, False, True):
        shift[rng.integers(out_c)] = rng.integers(-1, 6)
    return ConvCase(
        x=rng.integers(-128, 128, (h, w, in_c)).astype(np.int8),
        weights=rng.integers(-127, 128, shape).astype(np.int8),
        bias=rng.integers(-(1 << 14), 1 << 14, out_c).astype(np.int32),
        multiplier=rng.integers(1 << 30, 1 << 31, out_c).astype(np.int32),
        shift=shift.astype(np.int8),
        zero_in=int(pick("zero_in", -128, -3, 0, 77, 127)),
        zero_out=int(pick("zero_out", -128, -11, 0, 127)),
        act=pick("act", (-128, 127), (-128, 127), (-5, 101)),
        stride=stride,
        pad=pad,
        dilation=dilation,
        out_hw=(int(out_hw[0]), int(out_hw[1])),
        chw=bool(pick("chw", False, True)) or (out_hw[0] * out_hw[1] < 4 and "chw" not in fixed),
        depthwise=depthwise,
    )
