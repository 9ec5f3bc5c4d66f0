"""Bad input to training and search: one line and a hint, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from edgebnn import models  # noqa: E402
from edgebnn.cli import main  # noqa: E402
from edgebnn.train.checkpoint import Checkpoint, save  # noqa: E402
from edgebnn.train.digits import load_digits  # noqa: E402
from edgebnn.train.kws import LABELS  # noqa: E402
from edgebnn.train.session import run_file  # noqa: E402


def train_kws(folder: Path, *options: str | Path) -> tuple[str | Path, ...]:
    return ("train", "kws", "--data", folder, "--out", folder.parent / "kws.pt", "--threads", "1", *options)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder of feature files, random ones."""
    folder, rng = tmp_path / "speech", np.random.default_rng(0)
    folder.mkdir()
    for name, n in (("train", 130), ("val", 12)):
        features = rng.integers(-128, 128, (n, 2, 49, 10) if name == "train" else (n, 49, 10)).astype(np.int8)
        np.savez(folder / f"kws12_{name}.npz", features=features, label=np.arange(n) % 12)
    return folder


def test_data_folders(fails, tmp_path: Path, speech: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in fails(2, *train_kws(tmp_path / "empty", "--teacher", "none"))
    assert "no such folder" in fails(2, *train_kws(tmp_path / "nowhere"))
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    (unlabelled / "clip0.wav").write_bytes(b"RIFF")
    assert "neither feature files nor labelled speech" in fails(2, *train_kws(unlabelled))
    train = dict(np.load(speech / "kws12_train.npz"))
    np.savez(speech / "kws12_train.npz", features=train["features"])
    err = fails(2, *train_kws(speech))
    assert "kws12_train.npz: no array 'label'" in err and "it holds: features" in err
    np.savez(speech / "kws12_train.npz", features=train["features"], label=train["label"] + 1)
    err = fails(2, *train_kws(speech))
    assert "kws12_train.npz: a label is outside 0..11" in err and " ".join(LABELS) in err
    assert "DIR" in fails(2, "search", "kws", "--out", tmp_path / "found")
    assert "the folder is empty" in fails(
        2, "search", "kws", "--data", tmp_path / "empty", "--out", tmp_path / "s"
    )


def test_classes_that_do_not_match_the_checkpoint(fails, tmp_path: Path, speech: Path) -> None:  # type: ignore[no-untyped-def]
    teacher = models.build({"name": "kws1d", "channels": 4, "blocks": 1, "classes": 3})
    save(tmp_path / "three.pt", Checkpoint(teacher, ["a", "b", "c"]))
    err = fails(2, *train_kws(speech, "--teacher", tmp_path / "three.pt"))
    assert "the teacher has 3 classes" in err and "12" not in err.partition("hint")[2]
    err = fails(2, "ptq", tmp_path / "three.pt", "--task", "digits", "--out", tmp_path / "q.pt")
    assert "its 3 classes are not the 10 of digits" in err
    renamed = Checkpoint(models.build({"name": "cnn", "channels": 4}), list("abcdefghij"))
    save(tmp_path / "named.pt", renamed)
    assert "classes" in fails(2, "ptq", tmp_path / "named.pt", "--task", "digits", "--compare")


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (("--weight", "binery"), "unknown weight quantiser 'binery'", "did you mean 'binary'?"),
        (("--act", "lsg:2"), "unknown activation quantiser 'lsg'", "did you mean 'lsq'?"),
        (("--layer", "blocks.0.*=weight=tnn"), "unknown weight quantiser 'tnn'", "did you mean 'twn'?"),
        (("--recipe", "robost"), "unknown recipe 'robost'", "did you mean 'robust'?"),
        (("--recipe", "stochastic", "--weight", "twn"), "neither weights 'twn'", "int:K"),
        (("--schedule", "cosin"), "unknown schedule 'cosin'", "did you mean 'cosine'?"),
        (("--resume",), "digits.run.pt: no such file, nothing to resume", "start without --resume"),
        (("--resume", "--recipe", "two-stage"), "nothing to resume", "start without --resume"),
    ],
)
def test_names_and_options(fails, tmp_path: Path, options: tuple, message: str, hint: str) -> None:  # type: ignore[no-untyped-def]
    err = fails(2, "train", "digits", "--out", tmp_path / "digits.pt", *options)
    assert message in err and hint in err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lr", "0.001"), "lr was 0.005, is now 0.001"),
        (("--epochs", "4"), "epochs was 12, is now 4"),
        (("--weight", "twn"), "weight was 'binary', is now 'twn'"),
        (("--recipe", "robust"), "noise was 0.0, is now 2.0"),
        (("--recipe", "gradient-scaling"), "gradient_scaling was 0.0, is now 0.001"),
        (("--layer", "blocks.0.*=act=sign"), "layers was {}, is now {'blocks.0.*': {'act': 'sign'}}"),
    ],
)
def test_resume_with_another_configuration(
    fails,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    options: tuple,
    message: str,
) -> None:
    from edgebnn.train.loop import TrainConfig, Trainer

    torch.manual_seed(0)
    network = models.build({"name": "cnn", "channels": 32, "weight": "binary", "act": "lsq:2"})
    data, out = load_digits(), tmp_path / "digits.pt"
    state = Trainer(network, data, TrainConfig.plain(epochs=12, batch_size=64)).state()
    save(run_file(out), Checkpoint(network, data.names, training=state))
    before = run_file(out).read_bytes()
    err = fails(2, "train", "digits", "--out", out, "--resume", *options)
    assert f"cannot resume: {message}" in err and "--resume" in err.splitlines()[-1]
    assert run_file(out).read_bytes() == before


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs arm-none-eabi-gcc")
def test_a_budget_that_nothing_meets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The binding limit and by how much it is missed; no results, and another budget may follow at once."""
    out = tmp_path / "found"
    space = [x for key in ("channels=8", "blocks=1", "strides=2", "kernels=3") for x in ("--space", key)]
    space += ["--space", "weights=1", "--space", "acts=1"]
    common = [
        "search",
        "digits",
        "--trials",
        "1",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--out",
        str(out),
        *space,
    ]
    with pytest.raises(SystemExit) as stop:
        main([*common, "--flash", "100", "--ram", "20000"])
    shown = capsys.readouterr()
    assert stop.value.code == 3 and shown.out == "" and "Traceback" not in shown.err
    error, hint = shown.err.strip().splitlines()[-2:]
    assert error.startswith("error: no candidate of 30 meets the budget; the nearest (8 channels")
    assert (
        "bytes of flash of 100 (+" in error
        and "RAM" not in error
        and hint.startswith("hint: raise that limit")
    )
    assert sorted(path.name for path in out.iterdir()) == ["study.db"]
    with pytest.raises(SystemExit) as stop:
        main([*common, "--flash", "9000", "--json"])
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["best"]["flash"] <= 9000


def test_the_guide_lists_every_name() -> None:
    from edgebnn.train.ptq.calibrate import METHODS
    from edgebnn.train.ptq.weights import SOLVERS
    from edgebnn.train.quantizers import ACTIVATIONS, WEIGHTS
    from edgebnn.train.recipes import RECIPES
    from edgebnn.train.schedules import SCHEDULES

    text = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    for names, part in ((WEIGHTS, "Weights"), (ACTIVATIONS, "Activations"), (RECIPES, "Recipes and options")):
        section = text.partition(f"## {part}\n")[2].partition("\n## ")[0]
        assert [n for n in names if f"`{n}`" not in section and f"`{n}:" not in section] == [], part
    assert [n for n in (*METHODS, *SOLVERS, *SCHEDULES) if n not in text] == []
