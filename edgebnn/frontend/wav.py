"""WAV files: mono 16-bit PCM in, int16 samples out. Everything else is refused with a typed, one-line
error.
"""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebnn.errors import UsageError


def read_wav(path: str | Path, sample_rate: int = 16000) -> npt.NDArray[np.int16]:
    """Samples of a mono 16-bit PCM WAV file, [n] int16, n as in the file.

    Raises UsageError if the file is missing, not a PCM WAV file, truncated, empty, or of another sample
    rate, channel count or sample width.
    """
    path = Path(path)
    convert = f"convert it: ffmpeg -i {path.name} -ar {sample_rate} -ac 1 -c:a pcm_s16le out.wav"
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            frames = file.getnframes()
            if rate != sample_rate:
                raise UsageError(f"{path}: sample rate is {rate} Hz, expected {sample_rate} Hz", hint=convert)
            if channels != 1:
                raise UsageError(f"{path}: {channels} channels, expected 1 (mono)", hint=convert)
            if width != 2:
                raise UsageError(f"{path}: {8 * width} bits a sample, expected 16", hint=convert)
            data = file.readframes(frames)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", hint="give the path of a .wav file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder", hint="give the path of a .wav file") from None
    except EOFError:
        raise UsageError(f"{path}: truncated WAV file", hint="record or copy it again") from None
    except (wave.Error, struct.error, RuntimeError) as error:
        raise UsageError(f"{path}: not a PCM WAV file ({error})", hint=convert) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) != 2 * frames:
        raise UsageError(
            f"{path}: truncated WAV file ({len(data) // 2} of {frames} samples)",
            hint="record or copy it again",
        )
    if frames == 0:
        raise UsageError(f"{path}: holds no samples", hint="record it again")
    return np.frombuffer(data, dtype="<i2").astype(np.int16)


def fit_length(audio: npt.NDArray[np.int16], samples: int = 16000) -> npt.NDArray[np.int16]:
    """``audio`` [n] cut to its first ``samples`` samples, or zero-padded at the end to that length."""
    out = np.zeros(samples, dtype=np.int16)
    out[: min(samples, audio.size)] = audio[:samples]
    return out
