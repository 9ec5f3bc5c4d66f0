"""Executes a plan with the compiled kernels, in this process."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np

from edgebnn import csrc
from edgebnn.errors import ToolchainError, UsageError
from edgebnn.ir import storage
from edgebnn.plan import Plan
from edgebnn.plan.geometry import DTYPE_CODES, LAYOUT_CODES
from edgebnn.targets.cpu import supports

NONE = 0xFFFFFFFF
STATUS = {-1: "wrong argument", -2: "arena too small or misaligned", -3: "model of another ABI"}


@functools.cache
def library() -> tuple[Any, Any]:
    """(ffi, lib) of the compiled extension. Raises ToolchainError when the installation has none."""
    try:
        from edgebnn.host import _ebnn
    except ImportError as error:
        raise ToolchainError(
            f"the host runtime is not built ({error})", "pip install -e . (needs gcc)"
        ) from None
    return _ebnn.ffi, _ebnn.lib


@functools.cache
def kernel_table() -> dict[str, Any]:
    """Function pointers of the kernels this machine can run, by symbol."""
    ffi, lib = library()
    entries = (lib.ebnn_host_kernels[i] for i in range(lib.ebnn_host_kernel_count))
    return {ffi.string(e.symbol).decode(): e.kernel for e in entries if supports(ffi.string(e.isa).decode())}


def fill_struct(ffi: Any, struct: str, params: Any, keep: list[Any]) -> Any:
    """A new C struct of type ``struct`` with the fields of ``params``; what its pointers point to goes to ``keep``."""
    pointer = ffi.new(f"{struct} *")
    keep.append(pointer)
    _fill(ffi, pointer[0], ffi.typeof(struct), params, keep)
    return pointer


def _fill(ffi: Any, target: Any, ctype: Any, params: Any, keep: list[Any]) -> None:
    fields = dict(ctype.fields)
    for name, value in params.items():
        field = fields[name].type
        if value is None:
            continue
        if field.kind == "struct":
            _fill(ffi, getattr(target, name), field, value, keep)
        elif field.kind == "pointer":
            given = np.ascontiguousarray(value)
            if given.itemsize != ffi.sizeof(field.item):
                raise TypeError(f"{ctype.cname}.{name}: array of {given.dtype} for {field.cname}")
            array = _aligned(given.nbytes)  # NumPy's are not: vectors would cross cache lines
            array[:] = given.reshape(-1).view(np.uint8)
            keep.append(array)
            setattr(target, name, ffi.cast(field, array.ctypes.data))
        else:
            setattr(target, name, int(value))


def _aligned(size: int) -> np.ndarray:
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


class Runtime:
    """A planned model, ready to run. Not thread-safe: it owns one arena.

    ``threads``: how many run the parts of a plan made for several (default: as many as the plan is for).
    Raises ToolchainError when a kernel of the plan, or the threads, do not exist on this machine.
    """

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.threads = plan.threads if threads is None else threads
        self._ffi, self._lib = library()
        self._keep: list[Any] = []
        self._arena = _aligned(max(plan.arena, 1))
        self._model = self._build()
        self._address = self._ffi.cast("void *", self._arena.ctypes.data)
        self._pool: Any = None
        self._splits: Any = None
        if self.threads > 1:
            self._pool, self._splits = self._start()

    def _start(self) -> tuple[Any, Any]:
        """The thread pool, which ends with this object, and how the steps are divided."""
        ffi, lib = self._ffi, self._lib
        if not hasattr(lib, "ebnn_pool_start"):
            raise ToolchainError("the host runtime has no threads on this system", "run with one thread")
        pool = ffi.new("ebnn_pool_t *")
        if lib.ebnn_pool_start(pool, self.threads) != 0:
            raise ToolchainError(f"cannot start {self.threads} threads", "at most 64; try fewer")
        weakref.finalize(self, lib.ebnn_pool_stop, pool)
        splits = ffi.new("ebnn_split_t[]", max(len(self.plan.steps), 1))
        for split, step in zip(splits, self.plan.steps, strict=False):
            split.parts, split.scratch_step = step.parts, step.scratch_step
        return pool, splits

    def _execute(self) -> None:
        """Runs the model on what the arena holds."""
        if self._pool is None:
            status = self._lib.ebnn_run(self._model, self._address, self.plan.arena)
        else:
            status = self._lib.ebnn_run_parallel(
                self._pool, self._model, self._splits, self._address, self.plan.arena
            )
        self._check(status, "run")

    def _build(self) -> Any:
        ffi, plan, table = self._ffi, self.plan, kernel_table()
        ops = ffi.new("ebnn_op_t[]", max(len(plan.steps), 1))
        for i, step in enumerate(plan.steps):
            if step.kernel not in table:
                raise ToolchainError(
                    f"kernel {step.kernel} does not run on this machine",
                    "plan for --target host, or use an emulator",
                )
            ops[i].kernel = table[step.kernel]
            ops[i].params = fill_struct(ffi, step.struct, step.params, self._keep)
            inputs = [plan.offsets[n] for n in step.op.inputs]
            in_field = getattr(ops[i], "in")
            in_field[0] = inputs[0]
            in_field[1] = inputs[1] if len(inputs) > 1 else NONE
            outs = [plan.offsets[n] for n in step.op.outputs]
            ops[i].out, ops[i].out2 = outs[0], outs[1] if len(outs) > 1 else NONE
            scratch = plan.scratch_offsets[i]
            ops[i].scratch = scratch if scratch >= 0 else NONE
        model = ffi.new("ebnn_model_t *")
        model.abi, model.crc = csrc.abi(), plan.crc
        model.ops, model.n_ops, model.arena_size = ops, len(plan.steps), plan.arena
        for field, name in ((model.input, plan.graph.input), (model.output, plan.graph.output)):
            tensor = plan.graph.tensors[name]
            field.offset, field.size = plan.offsets[name], tensor.nbytes
            field.h, field.w, field.c = tensor.shape
            field.dtype, field.layout = DTYPE_CODES[tensor.dtype], LAYOUT_CODES[tensor.layout]
            field.zero_point = tensor.zero_point
        self._keep.append(ops)
        return model

    def _load(self, x: np.ndarray) -> None:
        source = self.plan.graph.tensors[self.plan.graph.input]
        if np.size(x) != source.elements:
            raise UsageError(
                f"input has {np.size(x)} values, model {self.plan.graph.name!r} takes {source.shape}"
            )
        self._write(self.plan.graph.input, storage.to_bytes(np.asarray(x), source))

    def _write(self, tensor: str, data: bytes) -> None:
        offset = self.plan.offsets[tensor]
        self._arena[offset : offset + len(data)] = np.frombuffer(data, np.uint8)

    def _read(self, tensor: str) -> bytes:
        offset = self.plan.offsets[tensor]
        return self._arena[offset : offset + self.plan.graph.tensors[tensor].nbytes].tobytes()

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            raise ToolchainError(f"{self.plan.graph.name}: {what}: {STATUS.get(status, f'status {status}')}")

    def run(self, x: np.ndarray) -> np.ndarray:
        """Output codes (H, W, C) int64 for one input of codes, any shape of the right size. Raises UsageError."""
        self._load(x)
        self._execute()
        output = self.plan.graph.output
        return storage.from_bytes(self._read(output), self.plan.graph.tensors[output])

    def again(self) -> None:
        """Runs the model once more on whatever the arena holds (for timing)."""
        self._execute()

    def step(self, index: int) -> None:
        """Runs step ``index`` alone on whatever the arena holds (for timing)."""
        self._check(self._lib.ebnn_run_op(self._model, self._address, index), self.plan.steps[index].op.name)

    def layers(self, x: np.ndarray) -> dict[str, bytes]:
        """Runs layer by layer; the stored bytes of every tensor the plan writes, by tensor name."""
        self._load(x)
        self._check(self._lib.ebnn_check(self._model, self._address, self.plan.arena), "check")
        results: dict[str, bytes] = {}
        for i, step in enumerate(self.plan.steps):
            self._check(self._lib.ebnn_run_op(self._model, self._address, i), f"layer {step.op.name}")
            results.update({name: self._read(name) for name in step.op.outputs})
        return results
