"""The larger networks at reduced size: random weights, the same bytes in NumPy and on this machine, and what the float
model computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgebnn import models, targets  # noqa: E402
from edgebnn.host import Runtime  # noqa: E402
from edgebnn.ir import reference  # noqa: E402
from edgebnn.ir.builder import Builder  # noqa: E402
from edgebnn.models import random  # noqa: E402
from edgebnn.passes import lower  # noqa: E402
from edgebnn.plan import plan  # noqa: E402

IMAGE = {"shape": [32, 32, 3], "scale": 1 / 32, "zero_point": 0}
VECTOR = {"shape": [1, 1, 100], "scale": 1 / 32, "zero_point": 0}
ARCHS: tuple[dict[str, Any], ...] = (
    {"name": "resnet18", "channels": 16, "depth": 1, "classes": 10, "input": IMAGE},
    {"name": "resnet18", "channels": 8, "depth": 1, "classes": 10, "input": IMAGE, "act": "lsq:2"},
    {"name": "quicknet", "channels": 8, "depth": 1, "classes": 10, "input": IMAGE},
    {"name": "bitlinear", "depth": 2, "input": VECTOR},
    {"name": "bitlinear", "depth": 2, "weight": "bitnet", "input": VECTOR},
)


@pytest.mark.parametrize(
    "arch", ARCHS, ids=lambda a: "-".join(str(v) for v in a.values() if isinstance(v, str))
)
def test_converts_and_runs_exactly(arch: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    network = random.network(arch)
    builder = Builder("random")
    network.export_ir(builder)
    graph = lower(builder.build())
    source, out = graph.tensors[graph.input], graph.tensors[graph.output]
    runtimes = [Runtime(plan(graph, targets.load("host", isa))) for isa in targets.load("host").isa[:-1]]
    x = np.random.default_rng(1).integers(-128, 128, (4, *source.shape)).astype(np.int8)
    real = network.dequantize(torch.from_numpy(x).reshape(-1, *network.input.shape))
    with torch.no_grad():
        wanted = torch.softmax(network(real), 1).numpy()
    alike = []
    for image, probabilities in zip(x, wanted, strict=True):
        exact = reference.run(graph, image)[graph.output]
        assert all(np.array_equal(runtime.run(image), exact) for runtime in runtimes)
        got = out.scale * (exact.ravel() - out.zero_point)
        alike.append(np.corrcoef(got, probabilities)[0, 1])
    # signs of values near 0 may differ from float32's, and random binary layers amplify that
    assert np.mean(alike) > (0.7 if arch["name"] == "resnet18" else 0.99)


def test_the_full_sizes_are_those_of_the_papers() -> None:
    def binary_weights(name: str) -> int:
        network = models.build({"name": name})
        return sum(
            m.weight.numel()
            for m in network.modules()
            if getattr(m, "act", None) is not None and hasattr(m, "pads")
        )

    assert binary_weights("resnet18") == 9 * (
        4 * 64**2 + sum(c * c // 2 + 3 * c * c for c in (128, 256, 512))
    )
    assert models.build({"name": "resnet18"}).arch["classes"] == 1000
    assert binary_weights("quicknet") == 9 * 4 * sum(c * c for c in (64, 128, 256, 512))


def test_wide_bitlinear_layers_convert() -> None:
    """Their worst-case sums exceed what the output holds by far."""
    arch = {"name": "bitlinear", "depth": 2, "input": {**VECTOR, "shape": [1, 1, 2048]}}
    graph = lower(random.graph(arch))
    assert sum(op.type == "bconv2d" for op in graph.ops) == 2
