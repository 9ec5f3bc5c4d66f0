"""Whole models: the NumPy reference, the host runtime, the emitted C and the emulated board give the same bytes in
every layer; a trained network and its integer model agree."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from models import programs
from models.annotated import Maker, random_input, random_model

from edgebnn import targets
from edgebnn.converters import load_model
from edgebnn.host import Runtime
from edgebnn.host.runtime import kernel_table
from edgebnn.ir import Graph, reference, storage
from edgebnn.passes import lower
from edgebnn.plan import Plan, plan
from edgebnn.report import executions
from edgebnn.report import verify as report_verify

MODELS = 24
INPUTS = 3
CHECKPOINT = Path(__file__).resolve().parents[1] / "examples" / "kws" / "kws.pt"

if importlib.util.find_spec("edgebnn.host._ebnn") is None:  # one that is there but does not load is an error
    pytest.skip("the host runtime is not built", allow_module_level=True)


def _small(graph: Graph) -> bool:
    return all(t.elements < 3000 for t in graph.tensors.values())


def models() -> list[Graph]:
    """Random integer models of 3 to 8 steps, and pure chains of shortcut blocks of odd widths."""
    found: list[Graph] = []
    for seed in range(10 * MODELS):
        rng = np.random.default_rng([7, seed])
        graph = lower(random_model(rng, 3 + seed % 6, f"m{len(found)}"))
        if _small(graph) and len(graph.ops) >= 3:
            found.append(graph)
        if len(found) == MODELS - 6:
            break
    for channels in (3, 17, 33, 40, 65, 64):
        maker = Maker(np.random.default_rng(channels), f"m{len(found)}", (9, 4, 2))
        maker.conv(channels)
        while maker.kind != "s8":
            maker = Maker(maker.rng, f"m{len(found)}", (9, 4, 2))
            maker.conv(channels)
        maker.x = maker.b.quant(maker.x, "s8", 0.05)
        for _ in range(3):
            maker.shortcut()
        found.append(lower(maker.finish()))
    return found


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    """Each model for the host and for the Cortex-M4, for speed and for size."""
    planned = []
    for i, graph in enumerate(models()):
        for name in ("host", "cortex-m4"):
            named = dataclasses.replace(graph, name=f"{graph.name}_{name.replace('-', '_')}")
            planned.append(plan(named, targets.load(name), "size" if i % 3 == 2 else "speed"))
    return planned


def _inputs(planned: Plan) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    shape = planned.graph.tensors[planned.graph.input].shape
    random = [random_input(rng, planned.graph) for _ in range(INPUTS)]
    return [*random, np.full(shape, -128, np.int8), np.full(shape, 127, np.int8)]


def _expected(planned: Plan, x: np.ndarray) -> dict[str, bytes]:
    values = reference.run(planned.graph, x)
    return {
        op.name: storage.to_bytes(values[op.output], planned.graph.tensors[op.output])
        for op in planned.graph.ops
    }


def _same(planned: Plan, expected: dict[str, bytes], got: dict[str, bytes], where: str) -> None:
    difference = report_verify.first_difference(planned, expected, got)
    if difference is not None:
        step = planned.steps[difference[0]]
        raise AssertionError(f"{where}: {planned.graph.name} {step.op.name} ({step.kernel}): {difference}")


def test_the_models_cover_the_operations(plans: list[Plan]) -> None:
    ops = {step.op.type for planned in plans for step in planned.steps}
    assert ops >= {
        "conv2d",
        "depthwise_conv2d",
        "bconv2d",
        "quantize",
        "add",
        "max_pool2d",
        "mean",
        "softmax",
    }
    assert sum(len(step.op.inputs) == 2 for planned in plans for step in planned.steps) >= 20
    assert len(plans) == 2 * MODELS


def test_host_runtime_equals_the_reference(plans: list[Plan]) -> None:
    for planned in plans:
        runtime = Runtime(planned)
        for x in _inputs(planned):
            expected = _expected(planned, x)
            tensors = runtime.layers(x)
            _same(
                planned, expected, {op.name: tensors[op.output] for op in planned.graph.ops}, "host runtime"
            )
            out = planned.graph.tensors[planned.graph.output]
            assert storage.to_bytes(runtime.run(x), out) == expected[planned.graph.ops[-1].name]


def test_planning_keeps_the_numbers(plans: list[Plan]) -> None:
    """Layouts, conversions and kernels change no value of the graph as it came."""
    for planned in plans:
        x = _inputs(planned)[0]
        before, after = reference.run(planned.source, x), reference.run(planned.graph, x)
        for op in planned.source.ops:
            if op.output in after:
                np.testing.assert_array_equal(before[op.output], after[op.output])
        np.testing.assert_array_equal(before[planned.source.output], after[planned.graph.output])


def test_arena_buffers_never_overlap_while_they_live(plans: list[Plan]) -> None:
    shared = 0
    for planned in plans:
        graph, alive = planned.graph, {planned.graph.input: 0}
        last = {
            name: i for i, step in enumerate(planned.steps) for name in (*step.op.outputs, *step.op.inputs)
        }
        last[graph.output] = len(planned.steps)
        for i, step in enumerate(planned.steps):
            alive |= dict.fromkeys(step.op.outputs, i)
            residual, out = step.op.inputs[-1], step.op.outputs[0]
            if step.over_residual and planned.offsets[residual] == planned.offsets[out]:
                assert last[residual] == i and graph.tensors[residual].nbytes == graph.tensors[out].nbytes
                del alive[residual]  # the output is stored over it
                shared += 1
            spans = [
                (planned.offsets[n], planned.offsets[n] + graph.tensors[n].nbytes)
                for n in alive
                if last[n] >= i
            ]
            if step.scratch:
                spans.append((planned.scratch_offsets[i], planned.scratch_offsets[i] + step.scratch))
            spans.sort()
            assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans)), (
                graph.name,
                step.op.name,
            )
            assert all(start % 16 == 0 and end <= planned.arena for start, end in spans)
    assert shared > 0


@pytest.mark.skipif(programs.compiler() is None, reason="no C compiler for this machine")
def test_emitted_c_equals_the_reference(plans: list[Plan], tmp_path: Path) -> None:
    """Every third model for both targets, as strict C99, in one program."""
    chosen = [p for i, p in enumerate(plans) if i // 2 % 3 == 0 or i >= len(plans) - 4]
    program = programs.Program(chosen, tmp_path)
    for i, planned in enumerate(chosen):
        inputs = _inputs(planned)
        for x, got in zip(inputs, program.layers(i, inputs), strict=True):
            _same(planned, _expected(planned, x), got, "emitted C")


def _need_board() -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    pytest.importorskip("SCons", reason="needs SCons")
    pytest.importorskip("serial", reason="needs pyserial")


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize("index", [3, 2 * MODELS - 1])
def test_emulated_board_equals_the_reference(plans: list[Plan], index: int, tmp_path: Path) -> None:
    _need_board()
    planned = plans[index]
    assert planned.target.name == "cortex-m4"
    folder = programs.folder_of(planned, tmp_path)
    inputs = np.stack(_inputs(planned)[:2])
    for x, got in zip(inputs, executions.emulator(folder, planned, inputs), strict=True):
        _same(planned, _expected(planned, x), got, "emulator")


# The shipped keyword spotter


@pytest.fixture(scope="module")
def kws() -> Graph:
    pytest.importorskip("torch", reason="needs PyTorch")
    if not CHECKPOINT.is_file():
        pytest.skip(f"no {CHECKPOINT.name}")
    return lower(load_model(CHECKPOINT))


@pytest.fixture(scope="module")
def clips(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(data_dir / "kws12_val.npz") as data:
        return data["features"], data["label"]


def _kws_inputs(kws: Graph) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(5)
    for _ in range(4):
        yield random_input(rng, kws)


@pytest.mark.parametrize("target", ["host", "cortex-m4", "cortex-m0plus"])
def test_shipped_model_on_the_host_runtime(kws: Graph, target: str) -> None:
    planned = plan(kws, targets.load(target))
    if any(step.kernel not in kernel_table() for step in planned.steps):
        pytest.skip(f"kernels of {target} do not compile for this machine")
    runtime = Runtime(planned)
    for x in _kws_inputs(kws):
        tensors = runtime.layers(x)
        _same(
            planned, _expected(planned, x), {op.name: tensors[op.output] for op in planned.graph.ops}, target
        )


@pytest.mark.skipif(programs.compiler() is None, reason="no C compiler for this machine")
def test_shipped_model_as_emitted_c_on_real_clips(
    kws: Graph, clips: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    planned = plan(kws, targets.load("cortex-m4"))
    program = programs.Program([planned], tmp_path)
    inputs = list(clips[0][::40])
    for x, got in zip(inputs, program.layers(0, inputs), strict=True):
        _same(planned, _expected(planned, x), got, "emitted C")


def test_integer_model_predicts_as_the_trained_network(
    kws: Graph, clips: tuple[np.ndarray, np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    from edgebnn import models as networks

    network = networks.load(CHECKPOINT).network
    features, labels = clips
    shape = kws.tensors[kws.input].shape
    with torch.no_grad():
        logits = network(network.dequantize(torch.from_numpy(features.reshape(-1, *shape)))).numpy()
    trained = logits.reshape(len(features), -1).argmax(axis=1)
    runtime = Runtime(plan(kws, targets.load("host")))
    integer = np.array([int(runtime.run(x).argmax()) for x in features])
    agree = float((trained == integer).mean())
    assert agree >= 0.995, f"agreement {agree:.4f}"
    accuracy = float((integer == labels).mean())
    assert abs(accuracy - float((trained == labels).mean())) < 0.01
    assert accuracy > 0.8


def test_report_names_the_first_layer_that_differs(
    tiny_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(tiny_graph, targets.load("host"))
    broken = planned.graph.ops[3].name

    def damaged(folder: Path, planned: Plan, inputs: np.ndarray) -> Iterator[dict[str, bytes]]:
        for layers in executions.host(folder, planned, inputs):
            data = bytearray(layers[broken])
            data[1] ^= 1
            yield {**layers, broken: bytes(data)}

    monkeypatch.setitem(executions.EXECUTIONS, "damaged", damaged)
    inputs = np.stack(_inputs(planned)[:1])
    result = report_verify.compare(tmp_path, planned, ["reference", "damaged"], inputs)
    assert result.difference is not None
    assert (result.difference.layer, result.difference.byte, result.difference.count) == (broken, 1, 1)
    assert report_verify.compare(tmp_path, planned, ["reference", "host"], inputs).difference is None
