"""What a search varies: the architecture (width, depth, kernel, stride), and for each block the bits of
weights and activations and whether it has a shortcut.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgebnn.errors import UsageError
from edgebnn.train.policy import unknown

if TYPE_CHECKING:
    from optuna.trial import Trial

#: bits -> quantiser; "t" is ternary
WEIGHT_BITS = {"1": "binary", "t": "twn", "2": "lsq", "4": "int:4", "8": "int8"}
ACT_BITS = {"1": "sign", "2": "lsq:2", "3": "lsq:3", "4": "lsq:4", "8": "int8"}


@dataclass(frozen=True)
class Space:
    """Values that each dimension may take. The first value of each is the cheapest.

    ``weights`` and ``acts`` are keys of ``WEIGHT_BITS`` and ``ACT_BITS``, chosen block by block; weights of 4
    and 8 bits always come with 8-bit activations, which their kernels need.
    """

    name: str  # an architecture of edgebnn.models with channels, blocks, kernel and stem_stride
    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    weights: tuple[str, ...] = tuple(WEIGHT_BITS)
    acts: tuple[str, ...] = tuple(ACT_BITS)
    shortcuts: tuple[str, ...] = ("yes", "no")

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """The architecture of a trial: arguments of ``edgebnn.models.build``."""
        arch: dict[str, Any] = {
            "name": self.name,
            "channels": trial.suggest_categorical("channels", self.channels),
            "blocks": trial.suggest_categorical("blocks", self.blocks),
            "kernel": trial.suggest_categorical("kernel", self.kernels),
            "stem_stride": trial.suggest_categorical("stem_stride", self.strides),
        }
        layers: dict[str, dict[str, str]] = {}
        for i in range(arch["blocks"]):
            weight = trial.suggest_categorical(f"weight{i}", self.weights)
            act = "8" if weight in "48" else trial.suggest_categorical(f"act{i}", self.acts)
            shortcut = trial.suggest_categorical(f"shortcut{i}", self.shortcuts)
            layers[f"blocks.{i}.conv"] = {
                "weight": WEIGHT_BITS[weight],
                "act": ACT_BITS[act],
                "shortcut": shortcut,
            }
        return {**arch, "layers": layers}

    def smallest(self) -> dict[str, Any]:
        """Parameters of the candidate that every budget should admit if it admits any."""
        block = {"weight": self.weights[0], "act": self.acts[0], "shortcut": self.shortcuts[0]}
        return {
            "channels": self.channels[0],
            "blocks": self.blocks[0],
            "kernel": self.kernels[0],
            "stem_stride": self.strides[0],
            **{f"{key}{i}": value for i in range(self.blocks[0]) for key, value in block.items()},
        }

    def limited(self, text: str) -> Space:
        """This space with one dimension replaced: ``channels=8,16``. Raises UsageError."""
        key, _, values = text.partition("=")
        names = [f.name for f in dataclasses.fields(self) if f.name != "name"]
        if key not in names:
            raise unknown("--space: unknown dimension", key, names)
        allowed = {"weights": WEIGHT_BITS, "acts": ACT_BITS, "shortcuts": ("yes", "no")}.get(key)
        chosen = tuple(value.strip() for value in values.split(","))
        for value in chosen:
            if allowed is not None and value not in allowed:
                raise unknown(f"--space {key}: unknown value", value, allowed)
            if allowed is None and not (value.isdecimal() and 0 < int(value) <= 4096):
                raise UsageError(f"--space {text}: {value!r} is not a number from 1 to 4096")
        changed: dict[str, Any] = {key: chosen}
        if allowed is None:
            changed[key] = tuple(sorted((int(value) for value in chosen), reverse=key == "strides"))
        return dataclasses.replace(self, **changed)


SPACES = {
    "digits": Space("cnn", (8, 16, 24, 32, 48), (1, 2, 3, 4), (3, 5), (2, 1)),
    "kws": Space("kws1d", (16, 24, 32, 48, 64, 96), (2, 3, 4, 5), (3, 5, 7, 9), (2, 1)),
}


def describe(arch: dict[str, Any]) -> str:
    """A candidate in a few words: ``cnn 32 channels, kernel 3, stride 2: W1A2 W1A2 WtA8-``, - without shortcut."""
    bits = {v: k for k, v in WEIGHT_BITS.items()}
    act_bits = {v: k for k, v in ACT_BITS.items()}
    blocks = " ".join(
        f"W{bits[b['weight']]}A{act_bits[b['act']]}{'' if b['shortcut'] == 'yes' else '-'}"
        for b in arch["layers"].values()
    )
    return f"{arch['channels']} channels, kernel {arch['kernel']}, stride {arch['stem_stride']}: {blocks}"
