"""MFCC front end of the MLPerf Tiny keyword-spotting task: one second of audio -> 49 x 10 int8 features.

Source: Banbury et al., "MLPerf Tiny Benchmark" (2021), reference keyword-spotting front end (a TensorFlow
graph); the constants below reproduce its int8 features bit for bit, except where the reference wraps
around and this clamps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebnn.errors import ModelError, UsageError


@dataclass(frozen=True)
class MfccConfig:
    """Parameters of the front end. Times are in samples, frequencies in Hz."""

    sample_rate: int = 16000
    clip_samples: int = 16000
    frame_samples: int = 480
    hop_samples: int = 320
    fft_size: int = 512
    mel_bins: int = 40
    mel_low_hz: float = 20.0
    mel_high_hz: float = 4000.0
    log_offset: float = 1e-6
    coefficients: int = 10
    scale: float = 0.5847029
    zero_point: int = 83

    def __post_init__(self) -> None:
        ok = (
            0 < self.sample_rate <= 192000
            and self.hop_samples > 0
            and 0 < self.frame_samples <= self.fft_size <= 65536
            and self.frame_samples <= self.clip_samples <= 10_000_000
            and 0 < self.coefficients <= self.mel_bins <= 1024
            and 0.0 <= self.mel_low_hz < self.mel_high_hz <= self.sample_rate / 2
            and self.scale > 0.0
            and self.log_offset > 0.0
            and -128 <= self.zero_point <= 127
        )
        if not ok:
            raise ModelError("front-end parameters out of range", hint="see MfccConfig for the defaults")

    @property
    def frames(self) -> int:
        """Frames in a clip: 49 by default. Only whole frames count."""
        return 1 + (self.clip_samples - self.frame_samples) // self.hop_samples

    def to_dict(self) -> dict[str, Any]:
        """The parameters as plain values, with the front end's name."""
        return {"name": "mfcc49x10", **asdict(self)}

    @classmethod
    def from_dict(cls, parameters: dict[str, Any]) -> MfccConfig:
        """Inverse of ``to_dict``; parameters left out keep their defaults.

        Raises ModelError for an unknown parameter or one of the wrong type.
        """
        types: dict[str, type[int] | type[float]] = {
            field.name: float if isinstance(field.default, float) else int for field in fields(cls)
        }
        values: dict[str, Any] = {}
        for key, value in parameters.items():
            if key == "name":
                continue
            if key not in types:
                raise ModelError(f"unknown front-end parameter {key!r}", hint=f"known: {', '.join(types)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or types[key](value) != value:
                raise ModelError(f"front-end parameter {key!r} must be {types[key].__name__}, got {value!r}")
            values[key] = types[key](value)
        return cls(**values)


class Mfcc:
    """The front end. ``Mfcc()(audio)`` gives the int8 features; the tables are made once, on first use."""

    def __init__(self, config: MfccConfig | None = None) -> None:
        self.config = config or MfccConfig()

    @cached_property
    def _window(self) -> npt.NDArray[np.float64]:
        """Periodic Hann window, [frame_samples]."""
        n = self.config.frame_samples
        return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)

    @cached_property
    def _mel(self) -> npt.NDArray[np.float64]:
        """Triangular filters, linear in mel, [fft_size // 2 + 1, mel_bins]; bin 0 (DC) is left out."""
        c = self.config
        hz = np.arange(c.fft_size // 2 + 1) * (c.sample_rate / c.fft_size)
        low, high = _mel_of_hz(np.array([c.mel_low_hz, c.mel_high_hz]))
        edges = np.linspace(low, high, c.mel_bins + 2)
        left, centre, right = edges[:-2], edges[1:-1], edges[2:]
        mel = _mel_of_hz(hz)[:, None]
        rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
        weights = np.maximum(0.0, np.minimum(rising, falling))
        weights[0] = 0.0
        return weights

    @cached_property
    def _dct(self) -> npt.NDArray[np.float64]:
        """DCT-II, first coefficients only, scaled by 2 / sqrt(2 * mel_bins); [mel_bins, coefficients]."""
        n = self.config.mel_bins
        phase = np.pi / n * (np.arange(n)[:, None] + 0.5) * np.arange(self.config.coefficients)
        return np.cos(phase) * (2.0 / np.sqrt(2.0 * n))

    def mfcc(self, audio: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real-valued coefficients, [frames, coefficients], of one clip.

        ``audio``: one-dimensional int16 or float samples; only ratios matter, as the clip is divided by
        its largest sample (not by its largest magnitude: so does the reference). A clip whose largest
        sample is 0 is scaled as 16-bit PCM instead. Shorter clips are zero-padded at the end, longer ones
        cut to ``clip_samples``. Raises UsageError for an array that is not one-dimensional or not finite.
        """
        c = self.config
        x = np.asarray(audio)
        if x.ndim != 1 or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
            raise UsageError(
                f"audio must be a one-dimensional array of samples, got shape {x.shape}, type {x.dtype}"
            )
        x = x[: c.clip_samples].astype(np.float64)
        if not np.isfinite(x).all():
            raise UsageError("audio holds samples that are not finite")
        peak = x.max(initial=-np.inf)
        x = x / (peak if np.isfinite(peak) and peak != 0.0 else 32768.0)
        padded = np.zeros(c.clip_samples)
        padded[: x.size] = x
        frames = np.lib.stride_tricks.sliding_window_view(padded, c.frame_samples)[:: c.hop_samples]
        magnitude = np.abs(np.fft.rfft(frames * self._window, c.fft_size))
        return np.log(magnitude @ self._mel + c.log_offset) @ self._dct

    def __call__(self, audio: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """int8 features, [frames, coefficients, 1] (H x W x C), of one clip: trunc(f / scale +
        zero_point), clamped.
        """
        c = self.config
        # Silent frames have coefficients of exactly 0 in real arithmetic; rounding error must not make
        # them -0.
        q = np.trunc(np.round(self.mfcc(audio) / c.scale + c.zero_point, 9))
        return np.clip(q, -128, 127).astype(np.int8)[:, :, None]


def _mel_of_hz(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1127.0 * np.log1p(hz / 700.0)
