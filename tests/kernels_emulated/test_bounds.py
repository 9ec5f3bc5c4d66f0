"""No kernel reads or writes outside its buffers: every data access of random calls is checked, bytewise."""

from __future__ import annotations

import pytest

from edgebnn import csrc, targets
from edgebnn.plan.kernels import Kernel, kernels
from edgebnn.plan.sources import sources

from . import blob, boards, cases

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(boards.missing_tool() is not None, reason=f"needs {boards.missing_tool()}")

from edgebnn.errors import MismatchError, ToolchainError  # noqa: E402
from edgebnn.estimate import image  # noqa: E402
from edgebnn.estimate.bench import Bench  # noqa: E402


def _bench(cpu: str) -> Bench:
    root = csrc.kernels_dir()
    isa = targets.load(cpu).isa
    files = [root / s for s in sources(k.symbol for k in kernels().values() if k.isa in isa)]
    bench = Bench(files, cpu, ("-O2",), [root / "include", root / "src"], watch=True)
    bench.machine.time_limit = 30.0
    return bench


def _run(bench: Bench, call: blob.KernelCall) -> str | None:
    """None, or what is wrong."""
    level = bench.machine.mark()
    try:
        params = bench.params(call.struct, **call.params)
        inputs = [bench.buffer(data) for data in call.inputs]
        outs = [bench.buffer(len(data)) for data in call.outputs]
        scratch = bench.buffer(call.scratch) if call.scratch else 0
        result = bench.kernel(call.kernel, params, inputs, *(*outs, 0)[:2], scratch=scratch)
        if result.trace.status:
            return f"status {result.trace.status}: {call.label}"
        right = all(bench.read(at, len(data)) == data for at, data in zip(outs, call.outputs, strict=True))
        return None if right else f"output differs: {call.label}"
    except (MismatchError, ToolchainError) as e:  # the second: a fault
        return f"{e}: {call.label}"
    finally:
        bench.forget(level)


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_no_access_leaves_the_buffers(cpu: str) -> None:
    def count(kernel: Kernel) -> int:
        return 20 if kernel.op in ("bconv2d", "conv2d", "depthwise_conv2d") else 10

    calls, _ = cases.random_calls(targets.load(cpu), count, 1 << 20, 1 << 20, seed=2)
    bench = _bench(cpu)
    wrong = [what for what in (_run(bench, call) for call in calls) if what]
    assert not wrong, f"{len(wrong)} of {len(calls)} calls:\n" + "\n".join(wrong[:10])


def test_the_check_notices_an_over_read(tmp_path) -> None:
    """A function that reads one byte too many is caught, and named."""
    source = tmp_path / "sum.c"
    source.write_text(
        "int sum(const signed char *p, int n) { int s = 0; while (n--) s += *p++; return s; }\n"
    )
    assert image.compiler()
    bench = Bench([source], "cortex-m4", ("-O1",), watch=True)
    at = bench.buffer(b"\x01\x02\x03\x04\x05")
    assert bench.call("sum", at, 5).trace.status == 15
    with pytest.raises(MismatchError, match=r"sum: reads 1 bytes .* 5 bytes into a buffer of 5"):
        bench.call("sum", at, 6)
