"""The MFCC front end against golden pairs, its parameters, and the WAV reader's errors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from edgebnn.errors import ModelError, UsageError
from edgebnn.frontend import Mfcc, MfccConfig, fit_length, from_dict, read_wav

needs_data = pytest.mark.skipif("EDGEBNN_DATA" not in os.environ, reason="EDGEBNN_DATA is not set")


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(samples.astype({1: "u1", 2: "<i2", 4: "<i4"}[width]).tobytes())
    return path


def tone(seconds: float = 1.0) -> np.ndarray:
    t = np.arange(int(16000 * seconds)) / 16000
    return (9000 * np.sin(2 * np.pi * 440 * t) * np.hanning(t.size)).astype(np.int16)


@needs_data
def test_golden_pairs_bit_exact() -> None:
    golden = np.load(Path(os.environ["EDGEBNN_DATA"]) / "kws_frontend_golden.npz")
    front_end = Mfcc()
    features = np.stack([front_end(clip)[..., 0] for clip in golden["audio"]])
    assert features.shape[0] == 200
    np.testing.assert_array_equal(features, golden["features"])


@needs_data
def test_validation_clips_bit_exact() -> None:
    data = np.load(Path(os.environ["EDGEBNN_DATA"]) / "kws12_val.npz")
    front_end = Mfcc()
    features = np.stack([front_end(clip)[..., 0] for clip in data["audio"]])
    np.testing.assert_array_equal(features, data["features"])


def test_shape_type_and_speed() -> None:
    front_end = Mfcc()
    clip = tone()
    features = front_end(clip)
    assert features.shape == (49, 10, 1) and features.dtype == np.int8
    times = []
    for _ in range(5):
        start = time.perf_counter()
        front_end(clip)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.020


def test_scaling_a_clip_changes_nothing() -> None:
    clip = tone()
    np.testing.assert_array_equal(Mfcc()(clip), Mfcc()(clip.astype(np.float64) / 32768))


def test_silence_is_defined_and_exact() -> None:
    config = MfccConfig()
    features = Mfcc(config)(np.zeros(16000, np.int16))[..., 0]
    # Every mel bin is log(1e-6): the DCT leaves a first coefficient only.
    first = np.log(1e-6) * 40 * 2 / np.sqrt(80)
    assert (features[:, 0] == max(-128, int(np.trunc(first / config.scale + config.zero_point)))).all()
    assert (features[:, 1:] == config.zero_point).all()


def test_short_clips_are_padded_and_long_ones_cut() -> None:
    clip = tone(1.5)
    np.testing.assert_array_equal(Mfcc()(clip), Mfcc()(fit_length(clip)))
    np.testing.assert_array_equal(Mfcc()(clip[:8000]), Mfcc()(fit_length(clip[:8000])))
    assert fit_length(clip).shape == fit_length(clip[:8000]).shape == (16000,)


@pytest.mark.parametrize(
    "audio", [np.zeros((2, 16000), np.int16), np.full(16000, np.nan), np.array(["a", "b"])]
)
def test_bad_arrays_are_refused(audio: np.ndarray) -> None:
    with pytest.raises(UsageError):
        Mfcc()(audio)


def test_parameters_round_trip() -> None:
    config = MfccConfig(coefficients=12, mel_high_hz=8000.0)
    again = from_dict(config.to_dict())
    assert again.config == config
    assert again(tone()).shape == (49, 12, 1)


@pytest.mark.parametrize(
    "change", [{"name": "mfcc"}, {"window": 3}, {"fft_size": 100}, {"scale": "1"}, {"mel_bins": 40.5}]
)
def test_bad_parameters_are_refused(change: dict) -> None:
    with pytest.raises(ModelError):
        from_dict({**MfccConfig().to_dict(), **change})


def test_wav_round_trip(tmp_path: Path) -> None:
    clip = tone()
    np.testing.assert_array_equal(read_wav(write_wav(tmp_path / "a.wav", clip)), clip)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"rate": 8000}, "sample rate is 8000 Hz, expected 16000 Hz"),
        ({"channels": 2}, "2 channels, expected 1"),
        ({"width": 1}, "8 bits a sample"),
        ({"width": 4}, "32 bits a sample"),
    ],
)
def test_wav_of_another_format_is_refused(tmp_path: Path, keywords: dict, message: str) -> None:
    path = write_wav(tmp_path / "a.wav", np.abs(tone()) // 256, **keywords)
    with pytest.raises(UsageError, match=message) as caught:
        read_wav(path)
    assert caught.value.hint and "\n" not in str(caught.value)


def test_damaged_wav_files_are_refused(tmp_path: Path) -> None:
    good = write_wav(tmp_path / "good.wav", tone()).read_bytes()
    bad = tmp_path / "bad.wav"
    for size in [0, 3, 11, 20, 40, 44, 45, 1000, len(good) - 1]:
        bad.write_bytes(good[:size])
        with pytest.raises(UsageError):
            read_wav(bad)
    bad.write_bytes(b"OggS" + good[4:])
    with pytest.raises(UsageError, match="not a PCM WAV"):
        read_wav(bad)
    with pytest.raises(UsageError, match="no such file"):
        read_wav(tmp_path / "missing.wav")
    with pytest.raises(UsageError, match="is a folder"):
        read_wav(tmp_path)


def test_front_end_imports_no_torch() -> None:
    code = "import sys, edgebnn.frontend; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
