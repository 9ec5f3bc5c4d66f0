"""The text of the emitted C files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from edgebnn import __version__, csrc
from edgebnn.host.cdefs import headers
from edgebnn.host.runtime import library
from edgebnn.ir import TensorType
from edgebnn.ir.fixed import quantize_multiplier
from edgebnn.ir.ops import REGISTRY
from edgebnn.plan import Plan, Step
from edgebnn.plan.geometry import DTYPE_CODES, LAYOUT_CODES
from edgebnn.plan.sources import sources

WIDTH = 110


def _template(name: str) -> Template:
    return Template((resources.files("edgebnn.emit") / "templates" / name).read_text())


def c_string(text: str) -> str:
    """A C string literal; anything but plain ASCII, and what could end or alter the literal, becomes octal."""
    safe = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
        for b in text.encode(errors="replace")
    )
    return f'"{safe}"'


def _wrap(items: Iterable[str], indent: str = "    ") -> str:
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*lines, line.rstrip()])


def _number(value: int, ctype: str) -> str:
    if ctype == "uint32_t":
        return f"0x{value:x}u"
    if ctype == "int32_t" and value == -(2**31):
        return "INT32_MIN"
    return str(value)


def _array(name: str, ctype: str, array: np.ndarray) -> str:
    values = _wrap(_number(int(v), ctype) for v in np.ravel(array))
    return f"static const {ctype} {name}[{array.size}] = {{\n{values}\n}};\n"


class _Params:
    """One params struct as C: the arrays it points to, then its initialiser, by the struct's parsed fields."""

    def __init__(self, prefix: str, step: Step) -> None:
        self.arrays: list[str] = []
        ffi, _ = library()
        self._prefix = prefix
        body = self._struct(ffi.typeof(step.struct), step.params, prefix)
        self.text = f"static const {step.struct} {prefix}_params = {body};\n"

    def _struct(self, ctype: Any, values: Any, path: str) -> str:
        fields = dict(ctype.fields)
        unknown = set(values) - set(fields)
        if unknown:
            raise TypeError(f"{ctype.cname} has no field {sorted(unknown)[0]!r}")
        parts = [
            f".{n} = {self._value(f.type, values[n], f'{path}_{n}')}" for n, f in ctype.fields if n in values
        ]
        return "{" + ", ".join(parts) + "}"

    def _value(self, ctype: Any, value: Any, path: str) -> str:
        if value is None:
            return "NULL"
        if ctype.kind == "struct":
            return self._struct(ctype, value, path)
        if ctype.kind == "pointer":
            array = np.asarray(value)
            item = ctype.item.cname
            if array.size == 0:
                return "NULL"
            self.arrays.append(_array(path, item, array))
            return path
        return _number(int(value), ctype.cname)


def _tensor(t: TensorType, offset: int) -> str:
    multiplier, exponent = quantize_multiplier(t.scale)
    h, w, c = t.shape
    fields = [
        offset,
        t.nbytes,
        h,
        w,
        c,
        DTYPE_CODES[t.dtype],
        LAYOUT_CODES[t.layout],
        t.zero_point,
        multiplier,
        exponent,
    ]
    return "{" + ", ".join(str(f) for f in fields) + "}"


def _offset(value: int | None) -> str:
    return "EBNN_NONE" if value is None or value < 0 else f"{value}u"


def _op(plan: Plan, index: int, step: Step) -> str:
    ins = [plan.offsets[n] for n in step.op.inputs] + [None]
    outs = [plan.offsets[n] for n in step.op.outputs] + [None]
    inputs = f"{{{_offset(ins[0])}, {_offset(ins[1])}}}"
    scratch = _offset(plan.scratch_offsets[index])
    return f"    {{{step.kernel}, &op{index}_params, {inputs}, {_offset(outs[0])}, {_offset(outs[1])}, {scratch}}},"


def _info(plan: Plan, step: Step) -> str:
    out = plan.graph.tensors[step.op.output]
    macs = REGISTRY[step.op.type].macs(step.op, out.shape)
    names = ", ".join(c_string(t) for t in (step.op.name, step.op.type, step.kernel))
    tensors = [_tensor(plan.graph.tensors[name], plan.offsets[name]) for name in step.op.outputs] + ["{0}"]
    return f"    {{{names}, {macs}u, {tensors[0]}, {tensors[1]}}},"


def _splits(plan: Plan) -> str:
    """How the ops are divided, where the plan is for threads."""
    if plan.threads == 1:
        return ""
    rows = "\n".join(f"    {{{step.parts}u, {step.scratch_step}u}}," for step in plan.steps)
    return f"\nconst ebnn_split_t {plan.graph.name}_splits[] = {{\n{rows}\n}};\n"


def source_text(plan: Plan) -> str:
    """<name>.c."""
    graph = plan.graph
    blocks = []
    for i, step in enumerate(plan.steps):
        params = _Params(f"op{i}", step)
        blocks += [f"/* {_comment(step.op.name)}: {step.kernel} */\n", *params.arrays, params.text]
    labels = [str(label) for label in graph.meta.get("labels") or []]
    label_text = (
        f"\nstatic const char *const labels[] = {{\n{_wrap(map(c_string, labels))}\n}};\n" if labels else ""
    )
    return _template("model.c.in").substitute(
        name=graph.name,
        layers=len(plan.steps),
        target=plan.target.name,
        version=__version__,
        abi=csrc.abi(),
        includes="\n".join(f'#include "{h}"' for h in headers(csrc.kernels_dir()) if h != "ebnn.h"),
        data="\n".join(blocks),
        ops="\n".join(_op(plan, i, step) for i, step in enumerate(plan.steps)),
        info="\n".join(_info(plan, step) for step in plan.steps),
        labels=label_text,
        labels_name="labels" if labels else "NULL",
        n_labels=len(labels),
        splits=_splits(plan),
        crc=plan.crc,
        n_ops=len(plan.steps),
        arena=plan.arena,
        input=_tensor(graph.tensors[graph.input], plan.offsets[graph.input]),
        output=_tensor(graph.tensors[graph.output], plan.offsets[graph.output]),
    )


def _comment(text: str) -> str:
    return "".join(ch if ch.isalnum() or ch in "._-@: " else "_" for ch in text if ch.isascii())


def header_text(plan: Plan) -> str:
    """<name>.h."""
    graph = plan.graph
    values: dict[str, object] = {
        "name": graph.name,
        "upper": graph.name.upper(),
        "target": plan.target.name,
        "version": __version__,
        "arena": plan.arena,
        "splits": f"\nextern const ebnn_split_t {graph.name}_splits[]; /* for ebnn_run_parallel() */"
        if plan.threads > 1
        else "",
    }
    for side, name in (("input", graph.input), ("output", graph.output)):
        t = graph.tensors[name]
        values |= {
            f"{side}_offset": plan.offsets[name],
            f"{side}_size": t.nbytes,
            f"{side}_shape": "x".join(map(str, t.shape)),
            f"{side}_dtype": t.dtype,
            f"{side}_scale": f"{float(t.scale)!r}f",
            f"{side}_zero_point": t.zero_point if t.zero_point >= 0 else f"({t.zero_point})",
        }
    return _template("model.h.in").substitute(values)


def model_header_text(plan: Plan) -> str:
    """ebnn_model.h."""
    name = plan.graph.name
    splits = f"\n#define EBNN_MODEL_SPLITS {name}_splits" if plan.threads > 1 else ""
    return _template("ebnn_model.h.in").substitute(name=name, upper=name.upper(), splits=splits)


_THREADS = """
# Threads of runner; 1: without POSIX threads. The model is divided for {threads}, its results are the same for any.
EBNN_THREADS ?= {threads}
ifneq ($(EBNN_THREADS),1)
CFLAGS_THREADS := -DEBNN_THREADS=$(EBNN_THREADS) -pthread
SOURCES += src/ebnn_threads.c
endif
"""


def makefile_text(plan: Plan) -> str:
    """Makefile of a library and a runner."""
    return _template("Makefile.in").substitute(
        name=plan.graph.name,
        target=plan.target.name,
        compiler=plan.target.compiler,
        cflags=" ".join(plan.target.cflags),
        threads=_THREADS.format(threads=plan.threads) if plan.threads > 1 else "",
        sources=" ".join(sources(step.kernel for step in plan.steps)),
    )


def runner_text() -> str:
    """runner.c."""
    return _template("runner.c.in").template
