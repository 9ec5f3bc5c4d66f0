"""Which quantisers each layer gets: defaults for ends and blocks, and overrides by name pattern.

The default policy is mixed precision: the first and last layer INT8, low-bit blocks between them. An
override maps a pattern (``fnmatch``, against the layer's dotted name such as ``blocks.0.conv``) to some of
``KEYS``; later patterns win. Overrides are part of a network's architecture (``arch["layers"]``), so that a
checkpoint is rebuilt with them. A layer that is overridden keeps its quantisers in every stage of a recipe.

``edgebnn.toml`` holds the same:

    [train]            # options of edgebnn train
    epochs = 20

    [policy]           # what all blocks get (also before, after, padding, shortcut), and the ends
    weight = "binary"
    act = "lsq:2"
    ends = "int8"

    [layers."blocks.0.*"]
    weight = "int8"
    act = "lsq:8"
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edgebnn.errors import UsageError, did_you_mean
from edgebnn.train.quantizers import activation_quantizer, weight_quantizer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG_FILE = "edgebnn.toml"

#: what can be set for a layer: quantisers, and what has the values listed
KEYS: dict[str, tuple[str, ...]] = {
    "weight": (),
    "act": (),
    "before": ("affine", "shift", "rsign", "none"),
    "after": ("prelu", "rprelu", "hardtanh", "none"),
    "padding": ("zero", "one", "lowest"),
    "shortcut": ("yes", "no"),
}

Overrides = Mapping[str, Mapping[str, str]]


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a ``name`` that is none of ``known``, with the nearest as its hint."""
    return UsageError(f"{what} {name!r}", hint=did_you_mean(name, known))


def check_value(where: str, key: str, value: Any) -> None:
    """Raises UsageError, prefixed with ``where``, for a key that is none of ``KEYS`` or a value it does not take."""
    if key not in KEYS:
        raise unknown(f"{where}: unknown key", key, KEYS)
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be a text, got {value!r}", hint='write for example "binary"')
    try:
        if key == "weight":
            weight_quantizer(value, 1)
        elif key == "act":
            activation_quantizer(value)
        elif value not in KEYS[key]:
            raise unknown(f"unknown {key}", value, KEYS[key])
    except UsageError as error:
        raise UsageError(f"{where}: {error}", hint=error.hint) from None


class Policy:
    """Overrides by pattern, and which of them took effect. Raises UsageError for bad keys and values."""

    def __init__(self, overrides: Overrides) -> None:
        self.overrides = overrides
        self._used: set[tuple[str, str]] = set()
        for pattern, values in overrides.items():
            if not isinstance(values, Mapping) or not values:
                raise UsageError(f"layers {pattern!r}: expected settings such as weight = 'int8'")
            for key, value in values.items():
                check_value(f"layers {pattern!r}", key, value)

    def of(self, layer: str, **defaults: str) -> dict[str, str]:
        """``defaults`` of the layer named ``layer`` after the overrides that match it; only keys of
        ``defaults`` apply.
        """
        result = dict(defaults)
        for pattern, values in self.overrides.items():
            if fnmatchcase(layer, pattern):
                chosen = {key: value for key, value in values.items() if key in defaults}
                result.update(chosen)
                self._used.update((pattern, key) for key in chosen)
        return result

    def check(self, layers: Iterable[str]) -> None:
        """Raises UsageError for a pattern that matches none of ``layers``, or sets what no layer it
        matches takes.
        """
        layers = list(layers)
        for pattern, values in self.overrides.items():
            if not any(fnmatchcase(layer, pattern) for layer in layers):
                hint = did_you_mean(pattern, layers, "layers")
                raise UsageError(f"layers: pattern {pattern!r} matches no layer", hint=hint)
            for key in values:
                if (pattern, key) not in self._used:
                    raise UsageError(f"layers {pattern!r}: no layer it matches takes {key!r}")


@dataclass(frozen=True)
class Config:
    """A configuration file: ``train`` holds options of ``edgebnn train``, ``policy`` the blocks' and ends'
    settings, ``layers`` the overrides.
    """

    path: Path
    train: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, str] = field(default_factory=dict)
    layers: dict[str, dict[str, str]] = field(default_factory=dict)


def read_config(path: Path) -> Config:
    """Reads and checks a configuration file. Raises UsageError naming the file, the table and the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from None
    for table, values in document.items():
        if table not in ("train", "policy", "layers"):
            raise unknown(f"{path}: unknown table", table, ("train", "policy", "layers"))
        if not isinstance(values, dict):
            raise UsageError(f"{path}: {table} must be a table", hint=f"write [{table}]")
    policy = document.get("policy", {})
    for key, value in policy.items():
        if key not in (*KEYS, "ends"):
            raise unknown(f"{path}: [policy]: unknown key", key, (*KEYS, "ends"))
        check_value(f"{path}: [policy]", "weight" if key == "ends" else key, value)
    layers = document.get("layers", {})
    try:
        Policy(layers)
    except UsageError as error:
        raise UsageError(f"{path}: {error}", hint=error.hint) from None
    return Config(path, document.get("train", {}), policy, layers)


def parse_override(text: str) -> tuple[str, dict[str, str]]:
    """Pattern and settings of ``PATTERN=KEY=VALUE[,KEY=VALUE...]``, as ``--layer`` takes them. Raises UsageError."""
    pattern, _, rest = text.partition("=")
    pairs = [part.partition("=") for part in rest.split(",")]
    if not pattern or not all(key and value for key, _, value in pairs):
        raise UsageError(f"--layer {text}: not PATTERN=KEY=VALUE", "write --layer 'blocks.0.*=weight=int8'")
    return pattern, {key.strip(): value.strip() for key, _, value in pairs}


def with_overrides(arch: dict[str, Any], policy: Mapping[str, str], layers: Overrides) -> dict[str, Any]:
    """``arch`` with the blocks' settings other than quantisers and the ``ends`` of ``policy``, and the
    overrides ``layers``.
    """
    blocks = {key: policy[key] for key in KEYS if key in policy and key not in ("weight", "act")}
    overrides: dict[str, dict[str, str]] = {"blocks.*": blocks} if blocks else {}
    for pattern, values in layers.items():
        overrides[pattern] = {**overrides.get(pattern, {}), **values}
    ends = {"ends": policy["ends"]} if "ends" in policy else {}
    return {**arch, **ends, **({"layers": overrides} if overrides else {})}
