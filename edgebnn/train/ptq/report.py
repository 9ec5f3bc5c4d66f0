"""Post-training methods side by side on one trained float network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.loop import predict
from edgebnn.train.network import Network
from edgebnn.train.ptq.apply import Settings, quantize_network
from edgebnn.train.ptq.calibrate import METHODS, Range
from edgebnn.train.ptq.weights import LEVELS, SOLVERS

#: what a comparison runs: every calibration for INT8, other grids, every solver for low-bit weights
ALL = (
    *(Settings("int8", calibration=method) for method in METHODS),
    *(Settings(weights) for weights in ("int8:tensor", "int4", "pot")),
    *(Settings(weights, solver) for weights in ("ternary", "binary") for solver in SOLVERS),
    *(Settings(weights, "gptq", drop=0.5) for weights in ("ternary", "binary")),
)


@dataclass(frozen=True)
class Row:
    """A method's validation accuracy, 0..1, and the ranges it chose by quantiser name."""

    settings: Settings
    accuracy: float
    ranges: dict[str, Range]

    @property
    def method(self) -> str:
        """In words: ``int8, calibration kl`` or ``binary by gptq``."""
        s = self.settings
        if s.weights not in LEVELS:
            return f"{s.weights.replace(':', ' per ')}, calibration {s.calibration}"
        return f"{s.weights} by {s.solver}" + (f", drop {s.drop:g}" if s.drop else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; per quantiser the limit, the clipped share, both errors and the SQNR in dB."""
        return {"method": self.method, "accuracy": self.accuracy, "ranges": _plain(self.ranges)}


def _plain(ranges: dict[str, Range]) -> dict[str, dict[str, float | None]]:
    return {
        name: {
            "limit": r.limit,
            "clipped": r.clipped,
            "clip_error": r.clip_error,
            "round_error": r.round_error,
            "sqnr_db": r.sqnr if r.sqnr != float("inf") else None,
        }
        for name, r in ranges.items()
    }


def accuracy(network: Network, features: LabelledFeatures) -> float:
    """Share of validation clips classified as labelled."""
    predicted = predict(network, torch.from_numpy(features.val))
    return float((predicted == torch.from_numpy(features.val_label)).double().mean())


def quantize(
    build: Callable[[dict[str, Any]], Network],
    trained: Network,
    features: LabelledFeatures,
    clips: int,
    settings: Settings,
) -> tuple[Network, Row]:
    """One method on ``trained``, calibrated on the first ``clips`` training clips: the network and its row."""
    torch.manual_seed(0)  # of the dropping
    calibration = torch.from_numpy(features.variants[:clips, 0])
    network, ranges = quantize_network(build, trained, calibration, settings)
    return network, Row(settings, accuracy(network, features), ranges)


def compare(
    build: Callable[[dict[str, Any]], Network],
    trained: Network,
    features: LabelledFeatures,
    clips: int = 256,
    methods: tuple[Settings, ...] = ALL,
) -> Iterator[Row]:
    """Each of ``methods`` on ``trained``, calibrated on the first ``clips`` training clips."""
    for settings in methods:
        yield quantize(build, trained, features, clips, settings)[1]
