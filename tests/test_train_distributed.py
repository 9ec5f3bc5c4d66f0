"""Training by two processes under torchrun: one command line, averaged gradients, one writer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from edgebnn import models  # noqa: E402
from edgebnn.errors import UsageError  # noqa: E402
from edgebnn.train import distributed  # noqa: E402

CHECK = """
import os, sys, torch
from torch import distributed as dist
from edgebnn import models
from edgebnn.train import distributed
from edgebnn.train.digits import load_digits
from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.loop import TrainConfig, Trainer

def check():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 1)
    x = torch.arange(12.0).reshape(4, 3)
    wrapped = distributed.wrap(layer)
    (wrapped(distributed.part(x)) ** 2).mean().backward()
    mean = layer.weight.grad.clone()
    layer.zero_grad()
    (layer(x) ** 2).mean().backward()
    torch.testing.assert_close(mean, layer.weight.grad)
    d = load_digits()
    small = LabelledFeatures(d.variants[:128], d.label[:128], d.val[:16], d.val_label[:16], d.names)
    arch = {"name": "cnn", "channels": 8, "blocks": 2, "stem_stride": 2, "weight": "lsq", "act": "lsq:2"}
    network = models.build(arch)
    Trainer(network, small, TrainConfig.plain(epochs=2, batch_size=32)).run()
    for key, value in network.state_dict().items():
        mine = value.clone()
        dist.broadcast(value, 0)
        assert torch.equal(mine, value), key


with distributed.session():
    check()
    first = distributed.writes()
threads = [open(f"/proc/self/task/{t}/comm").read().strip() for t in os.listdir("/proc/self/task")]
assert not any("gloo" in name for name in threads), f"left at exit: {threads}"
if first:
    open(sys.argv[1], "a").write("agreed\\n")
"""


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=500)


def test_gradients_are_averaged_and_processes_agree(tmp_path: Path) -> None:
    script = tmp_path / "check.py"
    script.write_text(CHECK)
    done = torchrun(str(script), str(tmp_path / "said"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "said").read_text() == "agreed\n"


def test_the_same_command_line_trains_with_two_processes(tmp_path: Path) -> None:
    options = [
        "--width",
        "8",
        "--epochs",
        "3",
        "--lr",
        "0.02",
        "--json",
        "--log-file",
        str(tmp_path / "log.jsonl"),
    ]
    out = tmp_path / "d.pt"
    done = torchrun("-m", "edgebnn", "train", "digits", "--out", str(out), "--recipe", "two-stage", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["val_accuracy"] > 0.3
    assert done.stderr.count("epoch 1/") == 2, "one line an epoch of each stage, from one process"
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.pt", "log.jsonl"]
    assert models.load(out).network.arch["channels"] == 8


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    with distributed.session():
        x = torch.arange(3)
        assert distributed.part(x) is x and distributed.writes() and distributed.processes() == 1
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(UsageError, match="a batch of 3 cannot be shared by 2"):
        distributed.part(x)
