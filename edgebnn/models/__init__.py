"""Networks by name: ``build({"name": "kws1d", ...})`` gives the module of an architecture description.

An architecture is a dict of plain values, stored in checkpoints; what it leaves out has the default of
the class. ``ARCHITECTURES`` lists the known names. Every network has ``arch`` (the complete dict) and
``export_ir(builder)``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from edgebnn.errors import ModelError, did_you_mean
from edgebnn.models.bitlinear import BitLinearConfig, BitLinearStack
from edgebnn.models.cnn import Cnn, CnnConfig
from edgebnn.models.dscnn import DsCnn, DsCnnConfig
from edgebnn.models.kws1d import Kws1d, Kws1dConfig
from edgebnn.models.quicknet import QuickNet, QuickNetConfig
from edgebnn.models.resnet18 import ResNet18, ResNet18Config
from edgebnn.train.checkpoint import Checkpoint, read
from edgebnn.train.layers import name_layers
from edgebnn.train.network import InputSpec, Network

__all__ = ["ARCHITECTURES", "Checkpoint", "InputSpec", "Network", "build", "load"]

ARCHITECTURES: dict[str, tuple[type[Any], type[Network]]] = {
    "kws1d": (Kws1dConfig, Kws1d),
    "dscnn": (DsCnnConfig, DsCnn),
    "cnn": (CnnConfig, Cnn),
    "resnet18": (ResNet18Config, ResNet18),
    "quicknet": (QuickNetConfig, QuickNet),
    "bitlinear": (BitLinearConfig, BitLinearStack),
}


def build(arch: dict[str, Any]) -> Network:
    """Network of an architecture description, with fresh weights.

    Raises ModelError for an unknown name (and suggests the nearest), an unknown key or a value of the
    wrong type; UsageError for overrides (``layers``) that match no layer.
    """
    values = dict(arch) if isinstance(arch, dict) else {}
    name = values.pop("name", None)
    if name not in ARCHITECTURES:
        hint = did_you_mean(str(name), ARCHITECTURES)
        raise ModelError(f"unknown architecture {name!r}", hint=hint)
    config_class, network_class = ARCHITECTURES[name]
    if isinstance(values.get("input"), dict):
        values["input"] = InputSpec.from_dict(values["input"])
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    for key, value in values.items():
        if key not in fields:
            raise ModelError(f"architecture {name}: unknown key {key!r}", hint=f"known: {', '.join(fields)}")
        default = fields[key].default
        expected = dict if default is dataclasses.MISSING else type(default)
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ModelError(f"architecture {name}: {key} must be {expected.__name__}, got {value!r}")
        if isinstance(value, int) and not 0 < value <= 65535:
            raise ModelError(f"architecture {name}: {key} = {value} is out of range")
    network = network_class(config_class(**values))
    name_layers(network)
    network.policy.check(
        path for path, module in network.named_modules() if hasattr(module, "weight_quantizer")
    )
    return network


def load(path: Path) -> Checkpoint:
    """Checkpoint of a file, its network built and in evaluation mode.

    Raises UsageError for a missing file, ModelError for one that is damaged or does not fit its architecture.
    """
    data = read(path)
    network = build(data["arch"])
    try:
        network.load_state_dict(data["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: weights do not fit the architecture ({reason})") from None
    classes = getattr(network.config, "classes", None)
    if classes is not None and len(data["labels"]) != classes:
        raise ModelError(f"{path}: {len(data['labels'])} labels for {classes} classes")
    network.eval()
    metrics = data.get("metrics")
    return Checkpoint(
        network,
        data["labels"],
        data.get("frontend"),
        metrics if isinstance(metrics, dict) else {},
        data.get("training") if isinstance(data.get("training"), dict) else None,
    )
