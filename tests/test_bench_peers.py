"""Peers of ``edgebnn bench`` in processes of their own: what is asked, and every way of failing, without hanging."""

from __future__ import annotations

import importlib.util
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgebnn.bench import layers, measure, optional, page, process, report
from edgebnn.bench.process import Contender, Process, ProcessError
from edgebnn.errors import UsageError

LITERT = importlib.util.find_spec("ai_edge_litert") is not None
LAYER = layers.Layer("3x3 5x6x32", 5, 6, 32, 64, 3)

#: answers as a worker does; a test replaces what it does with a count
WORKER = """#!{python}
import json, os, signal, sys, time
for line in sys.stdin:
    request = json.loads(line)
    count = request if isinstance(request, int) else None
    if count is None:
        answer = {{"versions": {{"Fake": "1.2"}}, "isa": "any"}}
    else:
        answer = count * 1e-3
    {insert}
    print(json.dumps(answer), flush=True)
"""


def fake(folder: Path, insert: str = "pass", name: str = "fake") -> Contender:
    """A contender whose interpreter is a program that speaks the protocol; ``insert``: a statement before an answer."""
    path = folder / name
    path.write_text(WORKER.format(python=sys.executable, insert=insert))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Contender(name, "litert", python=str(path))


def test_a_worker_is_asked_and_timed(tmp_path: Path) -> None:
    timings = measure.time_layer([p := Process(fake(tmp_path))], LAYER, rounds=5)
    p.close()
    assert timings["fake"].error is None
    assert timings["fake"].us == pytest.approx([1000.0] * 5)
    assert timings["fake"].about == {"versions": {"Fake": "1.2"}, "isa": "any"}


@pytest.mark.parametrize(
    ("insert", "reason"),
    [
        ("if count: sys.exit('no more')", "the process ended with status 1: no more"),
        ("if count: os.kill(os.getpid(), signal.SIGILL)", "the process was ended by SIGILL"),
        ("if count: print('hello', flush=True)", "answered 'hello', which is not JSON"),
        ("if count: answer = {'seconds': 1}", """answered '{"seconds": 1}' to 1"""),
        ("if count: answer = -1.0", "answered -1.0 seconds"),
        ("if count: answer = float('nan')", "answered nan seconds"),
        ("if count is None: answer = 3", "answered '3' to"),
        ("if count is None: answer = {'error': 'binary layers only'}", "binary layers only"),
    ],
)
def test_failures_are_reported(tmp_path: Path, insert: str, reason: str) -> None:
    """The others' timings stay; the reason stands in the result, and asking again does not wait."""
    good, bad = fake(tmp_path, name="good"), fake(tmp_path, insert, "bad")
    processes = [Process(bad), Process(good)]
    for _ in range(2):
        timings = measure.time_layer(processes, LAYER, rounds=3)
        assert reason in (timings["bad"].error or "")
        assert len(timings["good"].us) == 3
    for p in processes:
        p.close()


def test_a_failure_between_rounds_drops_the_peer(tmp_path: Path) -> None:
    insert = "n = globals().get('n', 0) + 1; n > 6 and sys.exit('late')"
    processes = [Process(fake(tmp_path, name="good")), Process(fake(tmp_path, insert, "bad"))]
    timings = measure.time_layer(processes, LAYER, rounds=5)
    for p in processes:
        p.close()
    assert timings["bad"].error == "the process ended with status 1: late" and timings["bad"].us == ()
    assert len(timings["good"].us) == 5


def test_silence_is_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TIMING_LIMIT", 0.5)
    p = Process(fake(tmp_path, "count and time.sleep(600)"))
    start = time.monotonic()
    timings = measure.time_layer([p], LAYER)
    with pytest.raises(ProcessError, match=r"no answer within 0\.5 s"):
        p.seconds(1)
    p.close()
    assert timings["fake"].error == "no answer within 0.5 s"
    assert time.monotonic() - start < 20


def find(python: str | None) -> tuple[list[Contender], list[str]]:
    return optional.find({"litert": python}, optional.PEERS[:1])


def test_a_peer_with_its_own_interpreter_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path).python
    expected = ([Contender("LiteRT/XNNPACK int8", "litert", python=path)], [])
    assert find(path) == expected
    monkeypatch.setenv("EDGEBNN_LITERT_PYTHON", str(path))
    assert find(None) == expected


def test_missing_peers_are_named(tmp_path: Path) -> None:
    path = fake(tmp_path, "sys.exit('no module')").python
    found, missing = find(path)
    assert found == []
    assert missing == [
        f"LiteRT/XNNPACK int8: the process ended with status 1: no module for {path}; install ai-edge-litert, or name "
        "its interpreter by --litert-python or EDGEBNN_LITERT_PYTHON"
    ]


@pytest.mark.parametrize("peer", optional.PEERS, ids=lambda p: p.program)
def test_a_missing_package_is_named(peer: optional.Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real worker, in this interpreter."""
    module = peer.package.replace("-", "_")
    if importlib.util.find_spec(module):
        pytest.skip(f"{peer.package} is installed")
    monkeypatch.delenv(peer.variable, raising=False)
    found, missing = optional.find({}, [peer])
    assert found == []
    assert missing[0].startswith(f"{peer.name}: No module named '{module}' here; install {peer.package}")
    assert "Not measured:" in (
        text := page.markdown(report.document([], [], {}, report.Settings("edgebnn bench", 3), missing))
    )
    assert missing[0] in text


def test_an_interpreter_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--litert-python .*/nothing: no such program"):
        find(str(tmp_path / "nothing"))
    monkeypatch.setenv("EDGEBNN_LITERT_PYTHON", str(tmp_path))
    with pytest.raises(UsageError, match=r"EDGEBNN_LITERT_PYTHON .*: no such program"):
        find(None)


def test_a_program_that_cannot_start_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    _, missing = find(str(path))
    assert f"cannot start {path}" in missing[0]


@pytest.mark.skipif(not LITERT, reason="ai-edge-litert is not installed")
@pytest.mark.parametrize(
    "layer", [LAYER, layers.Layer("dense 32 batch 3", 3, 1, 32, 64)], ids=lambda x: x.name
)
def test_litert_computes_the_layer_that_is_timed(layer: layers.Layer) -> None:
    """The written model means what it says: LiteRT's output is the layer's, within a step of rounding."""
    import dataclasses

    from ai_edge_litert.interpreter import Interpreter

    from edgebnn.bench.tflite_peers.model import int8_layer

    interpreter = Interpreter(model_content=int8_layer(dataclasses.asdict(layer)), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.random.default_rng(3).integers(-128, 128, given["shape"]).astype(np.int8)
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()

    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    weights, bias = interpreter.get_tensor(1).astype(np.int64), interpreter.get_tensor(2).astype(np.int64)
    scale = (
        details[1]["quantization_parameters"]["scales"] * given["quantization"][0] / made["quantization"][0]
    )
    centred = (x.astype(np.int64) - given["quantization"][1]).reshape(layer.h, layer.w, layer.in_c)
    pad, k = layer.kernel // 2, layer.kernel
    centred = np.pad(centred, ((pad, pad), (pad, pad), (0, 0)))
    sums = np.zeros((layer.h, layer.w, layer.out_c), np.int64) + bias
    weights = weights.reshape(layer.out_c, k, k, layer.in_c)
    for i in range(k):
        for j in range(k):
            sums += centred[i : i + layer.h, j : j + layer.w] @ weights[:, i, j].T
    expected = np.clip(np.round(sums * scale) + made["quantization"][1], -128, 127)
    actual = interpreter.get_tensor(made["index"]).reshape(expected.shape)
    assert np.abs(actual - expected).max() <= 1
    assert len(np.unique(actual)) > 20
