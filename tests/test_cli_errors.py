"""Bad input: one line, a hint, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import pickle
import wave
from pathlib import Path

import numpy as np
import pytest

from edgebnn import ir
from edgebnn.cli import EXTRAS, main


def write_wav(path: Path, rate: int = 16000, channels: int = 1, width: int = 2, n: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(n * channels * width))
    return path


@pytest.fixture
def audio_ebnn(tiny_graph: ir.Graph, tmp_path: Path) -> Path:
    """A model that claims an audio front end; its input shape does not matter for what the tests check."""
    import dataclasses

    path = tmp_path / "audio.ebnn"
    ir.save(
        dataclasses.replace(tiny_graph, meta={**tiny_graph.meta, "frontend": {"name": "mfcc49x10"}}), path
    )
    return path


def test_unknown_command_and_option(fails) -> None:  # type: ignore[no-untyped-def]
    assert "did you mean 'convert'?" in fails(2, "convrt")
    assert "--frobnicate" in fails(2, "targets", "--frobnicate")
    assert "MODEL" in fails(2, "convert", "--target", "host", "-o", "x")
    assert "--target" in fails(2, "convert", "m.ebnn", "-o", "x")


def test_unknown_target(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    err = fails(2, "convert", tiny_ebnn, "--target", "cortex_m44", "-o", tmp_path / "out")
    assert "cortex_m44" in err and "did you mean 'cortex-m4'?" in err
    assert "known targets" in fails(2, "convert", tiny_ebnn, "--target", "zzz", "-o", tmp_path / "out")


def test_missing_and_unknown_models(fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("none.pt", "none.ebnn"):
        assert name in fails(2, "convert", tmp_path / name, "--target", "host", "-o", tmp_path / "out")
    (tmp_path / "model.xyz").write_bytes(b"12345678")
    assert "model.xyz" in fails(
        2, "convert", tmp_path / "model.xyz", "--target", "host", "-o", tmp_path / "o"
    )
    assert "none.ebnn" in fails(2, "run", tmp_path / "none.ebnn", tmp_path / "x.npy")


@pytest.mark.parametrize("keep", [0, 3, 15, 40, 200, -1])
def test_truncated_ebnn(fails, tiny_ebnn: Path, tmp_path: Path, keep: int) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "cut.ebnn"
    bad.write_bytes(tiny_ebnn.read_bytes()[:keep])
    np.save(tmp_path / "x.npy", np.zeros((6, 5, 3), np.int8))
    assert "cut.ebnn" in fails(3, "run", bad, tmp_path / "x.npy")
    assert "cut.ebnn" in fails(3, "convert", bad, "--target", "host", "-o", tmp_path / "out")


def test_flipped_byte_and_other_version(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(tiny_ebnn.read_bytes())
    data[-1] ^= 1
    (tmp_path / "flip.ebnn").write_bytes(data)
    assert "flip.ebnn" in fails(
        3, "convert", tmp_path / "flip.ebnn", "--target", "host", "-o", tmp_path / "o"
    )
    data = bytearray(tiny_ebnn.read_bytes())
    data[4] = 99
    (tmp_path / "v99.ebnn").write_bytes(data)
    assert "99" in fails(3, "convert", tmp_path / "v99.ebnn", "--target", "host", "-o", tmp_path / "o")


class Bomb:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.touch, (self.path,))


def test_pickles_are_never_executed(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch = pytest.importorskip("torch")
    boom = tmp_path / "boom"
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb(boom)))
    torch.save({"format": "edgebnn-checkpoint", "version": 1, "state_dict": Bomb(boom)}, tmp_path / "zip.pt")
    np.save(tmp_path / "x.npy", np.array([Bomb(boom)], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([Bomb(boom)], dtype=object), y=np.zeros(1, int))
    for name in ("raw.pt", "zip.pt"):
        assert name in fails(3, "convert", tmp_path / name, "--target", "host", "-o", tmp_path / "out")
    assert "x.npy" in fails(2, "run", tiny_ebnn, tmp_path / "x.npy", hint=False)
    assert "x.npz" in fails(2, "eval", tiny_ebnn, "--data", tmp_path / "x.npz", hint=False)
    assert not boom.exists()


def test_bad_checkpoints(fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(3)}, tmp_path / "dict.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "dict.pt").read_bytes()[:300])
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("dict.pt", "tensor.pt", "cut.pt", "empty.pt"):
        assert name in fails(3, "convert", tmp_path / name, "--target", "host", "-o", tmp_path / "out")


def test_output_that_is_not_ours(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("x")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").write_text("x")
    args = ("convert", tiny_ebnn, "--target", "host", "-o")
    assert "is a file" in fails(2, *args, tmp_path / "file")
    assert "is a file" in fails(2, *args, tmp_path / "file" / "below")
    assert "not empty" in fails(2, *args, tmp_path / "used")


def test_budgets(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    args = ("convert", tiny_ebnn, "--target", "cortex-m4", "-o", tmp_path / "out")
    for option, word in (("--flash", "flash"), ("--ram", "RAM")):
        err = fails(3, *args, option, "300")
        assert f"bytes of {word}, the budget is 300" in err and "layer '" in err and "would help most" in err
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_clock_of_a_conversion(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    args = ("convert", tiny_ebnn, "-o", tmp_path / "out", "--target")
    for clock in ("fast", "0", "-5MHz", "80 bananas"):
        assert "not a frequency" in fails(2, *args, "cortex-m4", f"--clock={clock}")
    assert "no published cycle table" in fails(2, *args, "cortex-m7", "--clock", "80MHz")
    assert not (tmp_path / "out").exists()


def test_bad_name(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("../x", "a b", "1a", "a;b", ""):
        args = ("convert", tiny_ebnn, "--target", "host", "-o", tmp_path / "out", "--name", name)
        assert "identifier" in fails(2, *args)


def test_bad_audio(fails, audio_ebnn: Path, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    good = write_wav(tmp_path / "good.wav")
    assert "front end" in fails(2, "run", tiny_ebnn, good)
    assert "no such file" in fails(2, "run", audio_ebnn, tmp_path / "none.wav")
    assert "44100" in fails(2, "run", audio_ebnn, write_wav(tmp_path / "rate.wav", rate=44100))
    assert "2 channels" in fails(2, "run", audio_ebnn, write_wav(tmp_path / "stereo.wav", channels=2))
    assert "8 bits" in fails(2, "run", audio_ebnn, write_wav(tmp_path / "eight.wav", width=1))
    for size in (0, 20, 44, 1000):
        (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:size])
        assert "cut.wav" in fails(2, "run", audio_ebnn, tmp_path / "cut.wav")
    # Features of the front end do not fit this model: a model error, not a crash.
    assert "front end" in fails(3, "run", audio_ebnn, good, hint=False)


def test_bad_features(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bad = {
        "float.npy": (np.zeros((6, 5, 3), np.float32), "int8"),
        "shape.npy": (np.zeros((5, 6, 3), np.int8), "shape"),
        "scalar.npy": (np.int8(1), "shape"),
        "none.npy": (np.zeros((0, 6, 5, 3), np.int8), "no inputs"),
    }
    for name, (array, word) in bad.items():
        np.save(tmp_path / name, array)
        assert word in fails(2, "run", tiny_ebnn, tmp_path / name, hint=False)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "float.npy").read_bytes()[:100])
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "what.txt").write_text("hello")
    for name in ("cut.npy", "text.npy", "what.txt", "missing.npy"):
        assert name in fails(2, "run", tiny_ebnn, tmp_path / name, hint=False)


def test_bad_data_sets(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    x, y = np.zeros((3, 6, 5, 3), np.int8), np.zeros(3, np.int64)
    bad = {
        "nolabel.npz": ({"x": x}, "label"),
        "nox.npz": ({"y": y}, "features"),
        "short.npz": ({"x": x, "y": y[:2]}, "2 labels"),
        "range.npz": ({"x": x, "y": y + 4}, "classes"),
        "float.npz": ({"x": x, "y": y + 0.5}, "integers"),
    }
    for name, (arrays, word) in bad.items():
        np.savez(tmp_path / name, **arrays)
        assert word in fails(2, "eval", tiny_ebnn, "--data", tmp_path / name, hint=False)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:200])
    np.save(tmp_path / "array.npy", x)
    for name in ("cut.npz", "array.npy", "missing.npz"):
        assert name in fails(2, "eval", tiny_ebnn, "--data", tmp_path / name, hint=False)


def test_folders_that_hold_no_conversion(fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text("{")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "report.json").write_text('{"name": "../../x"}')
    for command in (("verify", "--on", "reference,host"), ("build", "--board", "mps2-an386")):
        for name, code in (("empty", 2), ("broken", 3), ("evil", 3), ("nowhere", 2)):
            assert name in fails(code, command[0], tmp_path / name, *command[1:])


def test_bad_verify_options(fails, tiny_ebnn: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert "'hots'" in fails(2, "verify", tmp_path, "--on", "reference,hots")
    assert "two" in fails(2, "verify", tmp_path, "--on", "host")


def test_missing_compilers_and_emulator(
    fails,  # type: ignore[no-untyped-def]
    tiny_ebnn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["convert", str(tiny_ebnn), "--target", "cortex-m4", "-o", str(tmp_path / "out")])
    capsys.readouterr()
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CC", raising=False)
    assert "compiler" in fails(4, "verify", tmp_path / "out", "--on", "reference,c")
    assert "arm-none-eabi-gcc" in fails(4, "build", tmp_path / "out", "--board", "mps2-an386")
    fails(4, "verify", tmp_path / "out", "--on", "reference,emulator")
    fails(4, "profile", tmp_path / "out", "--emulate", "mps2-an386")


def test_unknown_board_and_port(fails, tiny_ebnn: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        main(["convert", str(tiny_ebnn), "--target", "cortex-m4", "-o", str(tmp_path / "out")])
    capsys.readouterr()
    assert "mps2-an999" in fails(2, "build", tmp_path / "out", "--board", "mps2-an999")
    assert "/dev/ttyNONE" in fails(5, "profile", tmp_path / "out", "--port", "/dev/ttyNONE")
    fails(2, "profile", tmp_path / "out")


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_package_names_its_extra(
    fails,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.sub")

    monkeypatch.setattr("edgebnn.cli.importlib.import_module", broken)
    assert f"edgebnn[{EXTRAS[package]}]" in fails(4, "targets")


def test_operating_system_errors_are_one_line(fails, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def full() -> None:
        raise OSError(28, "No space left on device", "out/kws.c")

    monkeypatch.setattr("edgebnn.targets.names", full)
    assert "out/kws.c: No space left on device" in fails(2, "targets", hint=False)
