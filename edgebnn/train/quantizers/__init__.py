"""Quantisers by name: ``weight_quantizer("binary", out_channels)``, ``activation_quantizer("lsq:2")``.

A name may carry an argument after a colon, the number of bits for instance. ``WEIGHTS`` and
``ACTIVATIONS`` list the known ones; each class states its formula, pseudo-gradient, source and what it
becomes on the device.
"""

from __future__ import annotations

from typing import Any

from edgebnn.errors import UsageError, did_you_mean
from edgebnn.train.quantizers.activations import FloatActivation, Int8Activation
from edgebnn.train.quantizers.activations_bipolar import Bipolar
from edgebnn.train.quantizers.activations_sign import (
    ApproxSign,
    Dsq,
    Ede,
    ScaledSign,
    Sign,
    Ste,
    StochasticSign,
    SwishSign,
)
from edgebnn.train.quantizers.activations_unsigned import DoReFaActivation, Hwgq, Lsq, Pact
from edgebnn.train.quantizers.base import ActivationQuantizer, WeightQuantizer
from edgebnn.train.quantizers.weights import FloatWeights, IntWeights, PowerOfTwo
from edgebnn.train.quantizers.weights_bases import Abc, DualBinary, Salient, Ttq
from edgebnn.train.quantizers.weights_binary import Binary, BitNet, IrNet, LearnedScale, Xnor
from edgebnn.train.quantizers.weights_planes import BitNet158, DoReFa, LsqWeights, Twn

__all__ = [
    "ACTIVATIONS",
    "WEIGHTS",
    "ActivationQuantizer",
    "WeightQuantizer",
    "activation_quantizer",
    "weight_quantizer",
]

WEIGHTS: dict[str, type[WeightQuantizer]] = {
    "float": FloatWeights,
    "binary": Binary,
    "bnn": Binary,
    "binaryconnect": Binary,
    "xnor": Xnor,
    "bwn": Xnor,
    "learned": LearnedScale,
    "irnet": IrNet,
    "bitnet": BitNet,
    "twn": Twn,
    "bitnet158": BitNet158,
    "ttq": Ttq,
    "abc": Abc,
    "horq": Abc,
    "dbllm": DualBinary,
    "billm": Salient,
    "dorefa": DoReFa,
    "lsq": LsqWeights,
    "int": IntWeights,
    "int8": IntWeights,
    "pot": PowerOfTwo,
}

ACTIVATIONS: dict[str, type[ActivationQuantizer]] = {
    "float": FloatActivation,
    "sign": Sign,
    "ste": Ste,
    "approx": ApproxSign,
    "swish": SwishSign,
    "xnor": ScaledSign,
    "ede": Ede,
    "dsq": Dsq,
    "stochastic": StochasticSign,
    "lsq": Lsq,
    "pact": Pact,
    "dorefa": DoReFaActivation,
    "hwgq": Hwgq,
    "bipolar": Bipolar,
    "int8": Int8Activation,
}


def _lookup(spec: str, known: dict[str, Any], what: str) -> tuple[Any, list[str]]:
    name, *arguments = str(spec).split(":")
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(f"unknown {what} quantiser {name!r}", hint=hint)
    return known[name], arguments


def _make(spec: str, known: dict[str, Any], what: str, *leading: Any) -> Any:
    cls, arguments = _lookup(spec, known, what)
    try:
        return cls(*leading, *arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} quantiser {spec!r}: bad argument ({error})") from None


def weight_quantizer(spec: str, out_channels: int) -> WeightQuantizer:
    """Weight quantiser by name for a layer of ``out_channels``. Raises UsageError and suggests the
    nearest name.
    """
    made: WeightQuantizer = _make(spec, WEIGHTS, "weight", out_channels)
    return made


def activation_quantizer(spec: str) -> ActivationQuantizer:
    """Activation quantiser by name. Raises UsageError and suggests the nearest name."""
    made: ActivationQuantizer = _make(spec, ACTIVATIONS, "activation")
    return made
