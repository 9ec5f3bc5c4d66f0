"""One contender in a process of its own: reads a layer and then counts from standard input, a JSON value a line, runs
the layer that many times and answers the seconds they took: of processor time, which other load on the machine changes
less, or by the wall clock where several threads share the work.

    python -m edgebnn.bench.contender NAME     edgebnn, edgebnn-kernel, torch-fp32, torch-int8, memory;
                                               networks: edgebnn-network, torch-network
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgebnn.bench.layers import Layer, graph, random_input
from edgebnn.ir.ops import REGISTRY

Run = Callable[[], object]

#: bytes of weights that calls of a streaming layer go through, more than a last-level cache holds
STREAMED = 64 << 20


def _in_turn(make: Callable[[int], Run], layer: Layer) -> Run:
    """Runs copies of the layer in turn; ``make`` builds the one of a seed."""
    runs = itertools.cycle([make(seed) for seed in range(max(2, -(-STREAMED // layer.weight_bytes)))])
    return lambda: next(runs)()


def _memory(layer: Layer) -> tuple[Run, dict[str, Any]]:
    """Reads as many bytes as the layer's weights have, by NumPy's SIMD maximum, of which no cache holds all: the speed
    of memory, which limits layers that stream their weights."""
    data = np.ones((max(2, -(-STREAMED // layer.weight_bytes)), layer.weight_bytes // 4), np.float32)
    rows = itertools.cycle(data)
    return lambda: next(rows).max(), {}


def _edgebnn(layer: Layer, threads: int) -> tuple[Run, dict[str, Any]]:
    """The whole layer: from NHWC to NHWC, with the changes of layout that the plan needs."""
    from edgebnn.host.runtime import Runtime
    from edgebnn.plan import plan
    from edgebnn.targets import load

    def make(seed: int) -> Runtime:
        runtime = Runtime(plan(graph(layer, seed), load("host"), threads=threads))
        runtime.run(random_input(layer))
        return runtime

    runtime = make(1)
    about = {"kernels": [step.kernel for step in runtime.plan.steps]}
    if layer.streaming:
        return _in_turn(lambda seed: make(seed).again, layer), about
    return runtime.again, about


def _kernel(layer: Layer) -> tuple[Run, dict[str, Any]]:
    """The layer's kernel alone, its tensors in the layouts it wants."""
    from edgebnn.host.runtime import Runtime
    from edgebnn.plan import plan
    from edgebnn.targets import load

    runtime = Runtime(plan(graph(layer), load("host")))
    runtime.run(random_input(layer))
    index = next(i for i, step in enumerate(runtime.plan.steps) if step.op.type != "layout")
    return lambda: runtime.step(index), {"kernels": [runtime.plan.steps[index].kernel]}


def _torch(layer: Layer, int8: bool, threads: int) -> tuple[Run, dict[str, Any]]:
    """PyTorch with oneDNN: fp32 channels-last, or quantised int8, weights packed once."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    about = {"versions": {"PyTorch": torch.__version__}, "isa": torch.backends.cpu.get_cpu_capability()}
    k = layer.kernel
    if layer.dense:
        x, w = torch.randn(layer.h * layer.w, layer.in_c), torch.randn(layer.out_c, layer.in_c)
    else:
        x = torch.randn(1, layer.in_c, layer.h, layer.w).contiguous(memory_format=torch.channels_last)
        w = torch.randn(layer.out_c, layer.in_c, k, k).contiguous(memory_format=torch.channels_last)
    bias = torch.randn(layer.out_c)
    if not int8:
        if layer.dense:
            return lambda: torch.nn.functional.linear(x, w, bias), about
        return lambda: torch.nn.functional.conv2d(x, w, bias, padding=k // 2), about
    torch.backends.quantized.engine = "onednn"
    qx = torch.quantize_per_tensor(x, 0.05, 64, torch.quint8)
    qw = torch.quantize_per_channel(
        w,
        torch.full((layer.out_c,), 0.03, dtype=torch.float64),
        torch.zeros(layer.out_c, dtype=torch.int64),
        0,
        torch.qint8,
    )
    ops = torch.ops.quantized
    if layer.dense:
        packed = ops.linear_prepack(qw, bias)
        return lambda: ops.linear(qx, packed, 0.2, 64), about
    packed = ops.conv2d_prepack(qw, bias, [1, 1], [k // 2] * 2, [1, 1], 1)
    return lambda: ops.conv2d(qx, packed, 0.2, 64), about


def load(name: str, layer: Layer, threads: int = 1) -> tuple[Run, dict[str, Any]]:
    """What to run, and what to say about it."""
    if name.startswith("torch"):
        return _torch(layer, name.endswith("int8"), threads)
    if name == "memory":
        return _memory(layer)
    return _kernel(layer) if name.endswith("kernel") else _edgebnn(layer, threads)


def load_network(name: str, request: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """A whole network: ours from its file, PyTorch's by its architecture."""
    threads = request.get("threads", 1)
    if name.startswith("torch"):
        import torch

        from edgebnn.bench.peers import float_network

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        network, x = float_network(request["network"])
        for _ in range(3):
            network(x)  # the first runs compile
        about = {"versions": {"PyTorch": torch.__version__}, "isa": torch.backends.cpu.get_cpu_capability()}
        return lambda: network(x), about

    from edgebnn import ir
    from edgebnn.host.runtime import Runtime
    from edgebnn.plan import flash_bytes, plan
    from edgebnn.targets import load

    runtime = Runtime(plan(ir.load(Path(request["file"])), load("host"), threads=threads))
    source = runtime.plan.source
    shape = source.tensors[source.input].shape
    runtime.run(np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8))
    return runtime.again, {
        "macs": sum(
            REGISTRY[s.op.type].macs(s.op, runtime.plan.graph.tensors[s.op.output].shape)
            for s in runtime.plan.steps
        ),
        "weight_bytes": flash_bytes(runtime.plan),
        "arena": runtime.plan.arena,
        "kernels": _shares(runtime),
    }


def _shares(runtime: Any) -> list[dict[str, Any]]:
    """The share of the time that each kernel takes, most first."""
    times: dict[str, float] = {}
    for index, step in enumerate(runtime.plan.steps):
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            runtime.step(index)
            best = min(best, time.process_time() - start)
        times[step.kernel] = times.get(step.kernel, 0.0) + best
    total = sum(times.values())
    ordered = sorted(times.items(), key=lambda item: -item[1])
    return [{"kernel": kernel, "share": round(spent / total, 3)} for kernel, spent in ordered]


def main() -> None:
    """Serves one parent over standard input and output."""
    name = sys.argv[1]
    run: Run = lambda: None  # noqa: E731
    clock = time.process_time
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            start = clock()
            for _ in range(request):
                run()
            answer: Any = clock() - start
        else:
            threads = request.get("threads", 1)
            clock = time.process_time if threads == 1 else time.perf_counter
            try:
                if "network" in request:
                    run, answer = load_network(name, request)
                else:
                    run, answer = load(name, Layer(**request["layer"]), threads)
                run()
            except Exception as error:  # the parent reports it: a peer that cannot run a layer is named so
                answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
