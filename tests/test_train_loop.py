"""Training on small synthetic speech: learning, exact resume, checkpoints, the command line, integer
agreement.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from edgebnn import models  # noqa: E402
from edgebnn.cli.train import train  # noqa: E402
from edgebnn.errors import ModelError, UsageError  # noqa: E402
from edgebnn.frontend import MfccConfig, from_dict  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.kws import LABELS, LabelledFeatures, load_kws  # noqa: E402
from edgebnn.train.loop import TrainConfig, Trainer, distillation_loss, predict  # noqa: E402
from edgebnn.train.schedules import SCHEDULES, one_cycle  # noqa: E402
from edgebnn.train.session import fit, run_file  # noqa: E402

SMALL = {"name": "kws1d", "channels": 8, "blocks": 2, "kernel": 3}
needs_data = pytest.mark.skipif("EDGEBNN_DATA" not in os.environ, reason="EDGEBNN_DATA is not set")
SHIPPED = Path(__file__).resolve().parent.parent / "examples" / "kws"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def synthetic(train: int = 192, val: int = 48, seed: int = 0) -> LabelledFeatures:
    """Clips whose class is the coefficient that moves for a while, and whether up or down."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 12, train + val)
    x = rng.normal(0, 6, (train + val, 2, 49, 10)) + 83
    for i, c in enumerate(label):
        start = rng.integers(5, 25)
        x[i, :, start : start + 17, 2 + c % 6] += -60 if c < 6 else 40
    q = np.clip(np.round(x), -128, 127).astype(np.int8)[..., None]
    return LabelledFeatures(q[:train], label[:train], q[train:, 0], label[train:], list(LABELS))


def small_network(seed: int = 0, **changes: object) -> models.Network:
    torch.manual_seed(seed)
    return models.build({**SMALL, **changes})


def same_state(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Killed(Exception):
    pass


def test_training_learns() -> None:
    network = small_network(channels=16)
    config = TrainConfig(epochs=8, batch_size=24, lr=0.01, distill=0.0, max_shift=1, mixup=0.0, mask=0)
    history: list[dict[str, float]] = []
    metrics = Trainer(network, synthetic(), config).run(on_epoch=history.append)
    assert metrics["val_accuracy"] > 0.6, "chance is 1/12"
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    for module in network.modules():
        quantizer = getattr(module, "weight_quantizer", None)
        if quantizer is not None and quantizer.latent_clip is not None:
            assert module.weight.abs().max() <= quantizer.latent_clip


def test_a_killed_run_resumes_exactly(tmp_path: Path) -> None:
    data, teacher = synthetic(), small_network(7, weight="int8", act="lsq:8").eval()
    config = TrainConfig(epochs=3, batch_size=32, noise=0.5)
    whole = small_network(act="stochastic")
    fit(whole, data, config, tmp_path / "whole.pt", [teacher])

    class Kill:
        def start(self, epoch: int, epochs: int) -> None:
            pass

        def step(self, epoch: int, step: int, steps: int) -> None:
            if epoch == 2 and step == 3:
                raise Killed

        def epoch(self, metrics: dict[str, float], epochs: int) -> None:
            pass

        def warn(self, message: str) -> None:
            pass

    out = tmp_path / "cut.pt"
    with pytest.raises(Killed):
        fit(small_network(act="stochastic"), data, config, out, [teacher], observer=Kill())
    assert run_file(out).is_file() and not out.exists()
    resumed = small_network(99, act="stochastic")
    fit(resumed, data, config, out, [teacher], resume=True)
    assert same_state(whole.state_dict(), resumed.state_dict())
    assert not run_file(out).exists()
    again = models.load(out).network
    assert torch.equal(predict(again, torch.from_numpy(data.val)), predict(whole, torch.from_numpy(data.val)))


def test_resume_with_other_options_is_refused(tmp_path: Path) -> None:
    data, out = synthetic(), tmp_path / "a.pt"
    config = TrainConfig(epochs=2, batch_size=32, distill=0.0)
    with pytest.raises(UsageError, match="nothing to resume"):
        fit(small_network(), data, config, out, resume=True)
    trainer = Trainer(network := small_network(), data, config)
    save(run_file(out), Checkpoint(network, data.names, training=trainer.state()))
    with pytest.raises(UsageError, match=r"lr was 0.005, is now 0.001"):
        fit(
            small_network(),
            data,
            TrainConfig(epochs=2, batch_size=32, distill=0.0, lr=1e-3),
            out,
            resume=True,
        )
    with pytest.raises(UsageError, match="channels was 8, is now 12"):
        fit(small_network(channels=12), data, config, out, resume=True)
    save(run_file(out), Checkpoint(network, data.names))
    with pytest.raises(ModelError, match="no training state"):
        fit(small_network(), data, config, out, resume=True)


def test_a_teacher_of_another_task_is_refused() -> None:
    for teacher in (small_network(classes=10), models.build({"name": "cnn"})):
        with pytest.raises(UsageError, match="the teacher has 1"):
            Trainer(small_network(), synthetic(40, 12), TrainConfig(batch_size=32), [teacher])


def test_compact_checkpoint_is_exact_and_small(tmp_path: Path) -> None:
    data, network = synthetic(), small_network(channels=32)
    Trainer(network, data, TrainConfig(epochs=1, batch_size=32, distill=0.0)).run()
    x = network.dequantize(torch.from_numpy(data.val))
    front_end = MfccConfig().to_dict()
    for compact in (False, True):
        save(
            tmp_path / f"{compact}.pt", Checkpoint(network, data.names, front_end, {"a": 1}), compact=compact
        )
        loaded = models.load(tmp_path / f"{compact}.pt")
        assert torch.equal(loaded.network(x), network(x))
        assert (loaded.labels, loaded.frontend, loaded.metrics) == (LABELS, front_end, {"a": 1})
        assert from_dict(front_end).config == MfccConfig()
    assert (tmp_path / "True.pt").stat().st_size < 0.7 * (tmp_path / "False.pt").stat().st_size


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil-was-here"),))


def test_bad_checkpoints_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network, path = small_network(), tmp_path / "a.pt"
    save(path, Checkpoint(network, LABELS))
    good = path.read_bytes()
    data = torch.load(path, weights_only=True)
    bad = tmp_path / "bad.pt"
    with pytest.raises(UsageError, match="no such file"):
        models.load(tmp_path / "missing.pt")
    for size in (0, 1, 100, len(good) // 2, len(good) - 1):
        bad.write_bytes(good[:size])
        with pytest.raises(ModelError):
            models.load(bad)
    torch.save({"format": "edgebnn-checkpoint", "version": 1, "arch": Evil()}, bad)
    with pytest.raises(ModelError, match="not a plain checkpoint"):
        models.load(bad)
    bad.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError):
        models.load(bad)
    assert not (tmp_path / "evil-was-here").exists(), "nothing pickled is executed"
    for change, message in [
        ({"format": "other"}, "not an edgebnn checkpoint"),
        ({"version": 9}, "version 9"),
        ({"arch": None}, "without 'arch'"),
        ({"arch": {"name": "kws2d"}}, "unknown architecture 'kws2d'"),
        ({"arch": {**data["arch"], "depth": 3}}, "unknown key 'depth'"),
        ({"arch": {**data["arch"], "channels": "8"}}, "channels must be int"),
        ({"arch": {**data["arch"], "channels": 12}}, "do not fit"),
        ({"labels": ["yes"]}, "1 labels for 12 classes"),
        ({"labels": None}, "without a list of labels"),
        ({"state_dict": {}}, "do not fit"),
    ]:
        torch.save({**data, **change}, bad)
        with pytest.raises(ModelError, match=message):
            models.load(bad)


def test_writing_a_checkpoint_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        save(tmp_path / "file" / "a.pt", Checkpoint(small_network(), LABELS))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_learning_rate_follows_pytorchs_one_cycle() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=200)
    for step in range(200):
        assert one_cycle(step, 200, 5e-3) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        if step < 199:
            schedule.step()


def test_schedules_with_a_warm_up() -> None:
    for name, middle in (("cosine", 0.5), ("linear", 0.5)):
        rates = [SCHEDULES[name](step, 110, 1.0, 10) for step in range(110)]
        assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
        assert rates[10] == 1.0 and rates[60] == pytest.approx(middle) and 0 < rates[-1] < 0.011
        assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    quarter = [SCHEDULES[name](35, 110, 1.0, 10) for name in ("cosine", "linear")]
    assert quarter == pytest.approx([0.5 + 0.5**1.5, 0.75])
    with pytest.raises(UsageError, match="unknown schedule 'cosin'") as caught:
        TrainConfig(schedule="cosin")
    assert caught.value.hint == "did you mean 'cosine'?"
    rates, trainer = (
        [],
        Trainer(
            small_network(),
            synthetic(64, 12),
            TrainConfig(epochs=4, batch_size=32, lr=1.0, schedule="linear", distill=0.0),
        ),
    )
    trainer.run(on_step=lambda step, steps: rates.append(trainer.optimizer.param_groups[0]["lr"]))
    # Eight steps: the warm-up takes two, a quarter.
    assert rates == pytest.approx([0.5, 1.0, *(1 - i / 6 for i in range(6))])


def test_distillation_loss() -> None:
    logits = torch.tensor([[2.0, 0.0]])
    assert float(distillation_loss(logits, logits, 2.0)) == pytest.approx(0.0, abs=1e-7)
    p, q = torch.softmax(torch.tensor([3.0, 0.0]) / 2, 0), torch.softmax(logits[0] / 2, 0)
    want = 4 * float((p * (p / q).log()).sum())
    assert float(distillation_loss(logits, torch.tensor([[3.0, 0.0]]), 2.0)) == pytest.approx(want, rel=1e-5)


def write_folder(folder: Path, data: LabelledFeatures) -> Path:
    folder.mkdir(exist_ok=True)
    np.savez(folder / "kws12_train.npz", features=data.variants[..., 0], label=data.label)
    np.savez(folder / "kws12_val.npz", features=data.val[..., 0], label=data.val_label)
    return folder


def test_command_line(tmp_path: Path) -> None:
    folder, out = write_folder(tmp_path / "data", synthetic()), tmp_path / "kws.pt"
    base = ["kws", "--data", str(folder), "--out", str(out), "--width", "8", "--threads", "1", "--json"]
    arguments = [*base, "--epochs", "1", "--bits", "1", "--teacher", "none", "--seed", "3"]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["arch"]["act"] == "sign" and document["seed"] == 3 and len(document["history"]) == 1
    assert 0 <= document["val_accuracy"] <= 1 and document["val_clips"] == 48
    assert "epoch 1/1" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "kws.pt"]
    loaded = models.load(out)
    assert loaded.metrics["val_accuracy"] == document["val_accuracy"]
    first = loaded.network.state_dict()
    CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert same_state(models.load(out).network.state_dict(), first), "same seed, same weights"


def test_command_line_trains_its_own_teacher(tmp_path: Path) -> None:
    folder, out = write_folder(tmp_path / "data", synthetic(130, 12)), tmp_path / "kws.pt"
    arguments = [
        "kws",
        "--data",
        str(folder),
        "--out",
        str(out),
        "--width",
        "8",
        "--threads",
        "1",
        "--epochs",
        "1",
    ]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "validation accuracy" in result.stdout
    assert "training the teacher" in result.stderr
    assert models.load(tmp_path / "kws.teacher.pt").network.arch["name"] == "dscnn"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "kws.pt", "kws.teacher.pt"]
    again = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert again.exit_code == 0 and "training the teacher" not in again.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weight", "binry"], "unknown weight quantiser"),
        (["--act", "lsq:9"], "bad argument"),
        (["--recipe", "three-stage"], "unknown recipe"),
        (["--teacher", "missing.pt"], "missing.pt: no such file"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_command_line_errors(tmp_path: Path, options: list[str], message: str) -> None:
    folder = write_folder(tmp_path / "data", synthetic(130, 12))
    arguments = ["kws", "--data", str(folder), "--out", str(tmp_path / "a.pt"), "--teacher", "none", *options]
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_bad_data_folders_are_refused(tmp_path: Path) -> None:
    data = synthetic(40, 12)
    with pytest.raises(UsageError, match="no such folder"):
        load_kws(tmp_path / "missing")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="empty"):
        load_kws(empty)
    (empty / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="neither feature files nor labelled speech"):
        load_kws(empty)
    folder = write_folder(tmp_path / "d", data)
    train_file, val_file = folder / "kws12_train.npz", folder / "kws12_val.npz"
    good = val_file.read_bytes()
    for content in (b"", good[:100], good[: len(good) // 2], b"PK" + good[5:]):
        val_file.write_bytes(content)
        with pytest.raises(UsageError):
            load_kws(folder)
    np.savez(val_file, features=data.val[..., 0])
    with pytest.raises(UsageError, match="no array 'label'"):
        load_kws(folder)
    np.savez(val_file, features=data.val[..., 0], label=data.val_label + 7)
    with pytest.raises(UsageError, match=r"outside 0..11"):
        load_kws(folder)
    np.savez(val_file, features=data.val[..., 0].astype(np.float32), label=data.val_label)
    with pytest.raises(UsageError, match="float32"):
        load_kws(folder)
    np.savez(val_file, features=np.array([object()]), label=data.val_label)
    with pytest.raises(UsageError, match="not a readable"):
        load_kws(folder)
    val_file.unlink()
    with pytest.raises(UsageError, match=r"kws12_val.npz: no such file"):
        load_kws(folder)
    assert train_file.is_file()


@pytest.mark.parametrize(
    "arch",
    [
        {**SMALL, "channels": 12},
        {**SMALL, "act": "sign"},
        {**SMALL, "act": "lsq:4", "weight": "twn"},
        {"name": "dscnn", "channels": 8, "blocks": 2, "weight": "int8", "act": "int8:unsigned"},
        {"name": "dscnn", "channels": 8, "blocks": 2, "weight": "twn", "act": "int8:unsigned"},
    ],
)
def test_integer_model_follows_the_trained_one(arch: dict, tmp_path: Path) -> None:
    from edgebnn.converters import load_model
    from edgebnn.ir import reference
    from edgebnn.passes import lower

    data = synthetic(384, 120)
    torch.manual_seed(0)
    network = models.build(arch)
    Trainer(network, data, TrainConfig(epochs=3, batch_size=32, distill=0.0, mixup=0.0)).run()
    save(tmp_path / "a.pt", Checkpoint(network, LABELS, MfccConfig().to_dict()), compact=True)
    graph = lower(load_model(tmp_path / "a.pt"))
    logits, differing, worst = [], 0, 0
    with torch.no_grad():
        steps = network(network.dequantize(torch.from_numpy(data.val))) / network.logits.scale()
    for clip, step in zip(data.val, torch.round(steps).int().numpy(), strict=True):
        tensors = reference.run(graph, clip)
        integer = np.asarray(tensors["logits:0"]).ravel().astype(int)
        differing += int((integer != step).sum())
        worst = max(worst, int(abs(integer - step).max()))
        logits.append(int(integer.argmax()))
    predicted = predict(network, torch.from_numpy(data.val)).numpy()
    assert np.mean(predicted == np.array(logits)) >= 0.995
    assert differing <= 0.02 * steps.numel() and worst <= 3


@needs_data
@pytest.mark.parametrize(("name", "least"), [("kws.pt", 0.89), ("kws_small.pt", 0.88)])
def test_shipped_checkpoint(name: str, least: float) -> None:
    checkpoint = models.load(SHIPPED / name)
    assert (SHIPPED / name).stat().st_size < 150_000
    assert checkpoint.labels == LABELS and from_dict(checkpoint.frontend or {}).config == MfccConfig()
    data = np.load(Path(os.environ["EDGEBNN_DATA"]) / "kws12_val.npz")
    predicted = predict(checkpoint.network, torch.from_numpy(data["features"])[..., None]).numpy()
    accuracy = float(np.mean(predicted == data["label"]))
    assert accuracy >= least
    assert accuracy == pytest.approx(checkpoint.metrics["val_accuracy"], abs=0.005)
