"""Audio front ends, NumPy only: what turns a recording into the int8 features a network reads.

A front end is named in a model's metadata by its parameters, ``{"name": "mfcc49x10", ...}``;
``from_dict`` makes it again from them, so that a deployed model carries all it needs to classify a WAV
file.
"""

from __future__ import annotations

from typing import Any

from edgebnn.errors import ModelError
from edgebnn.frontend.mfcc import Mfcc, MfccConfig
from edgebnn.frontend.wav import fit_length, read_wav

__all__ = ["Mfcc", "MfccConfig", "fit_length", "from_dict", "read_wav"]


def from_dict(parameters: dict[str, Any]) -> Mfcc:
    """Front end with the parameters that ``MfccConfig.to_dict`` gave.

    Raises ModelError for an unknown name, an unknown parameter or a value out of range.
    """
    name = parameters.get("name") if isinstance(parameters, dict) else None
    if name != "mfcc49x10":
        raise ModelError(f"unknown front end {name!r}", hint="this version knows 'mfcc49x10'")
    return Mfcc(MfccConfig.from_dict(parameters))
