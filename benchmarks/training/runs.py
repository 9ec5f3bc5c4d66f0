"""The networks of the tables: how each is trained, as arguments of ``edgebnn train``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """``options`` after ``edgebnn train TASK``, beside files and seed. ``role`` is its column in the table;
    ``taught``: learns from ``TEACHERS``; ``seeds``: None for all that are asked for. ``task``: kws or digits.
    """

    name: str
    role: str
    options: tuple[str, ...]
    taught: bool = True
    seeds: tuple[int, ...] | None = None
    deployed: bool = True
    task: str = "kws"


_ALONE = ("--epochs", "14", "--mixup", "0", "--weight-decay", "5e-4")
_EPOCHS = ("--epochs", "20")


def _binary(width: int, bits: str, *more: str) -> tuple[str, ...]:
    return ("--width", str(width), "--bits", bits, *more, *_EPOCHS)


def _int8(width: int) -> tuple[str, ...]:
    return ("--width", str(width), "--weight", "int8", "--bits", "8", *_EPOCHS)


def _reference(model: str) -> tuple[str, ...]:
    return ("--model", model, *_EPOCHS)


def _digits(name: str, role: str, *options: str) -> Model:
    return Model(name, role, options, taught=False, task="digits")


MODELS = (
    Model("teacher-fp32", "teacher", ("--model", "dscnn", *_ALONE), False, (0,), deployed=False),
    Model("teacher-w1a4", "teacher", ("--bits", "4", *_ALONE), False, (1,)),
    Model("teacher-int8", "teacher", ("--weight", "int8", "--bits", "8", *_ALONE), False, (2,)),
    Model("kws1d-64-w1a2", "flagship; ladder", _binary(64, "2")),
    Model("kws1d-64s3-w1a2", "flagship, stem of 3 frames", _binary(64, "2", "--stem-kernel", "3")),
    Model("dscnn-fp32", "reference", _reference("dscnn"), deployed=False),
    Model("kws1d-48-w1a2", "tiny", _binary(48, "2", "--stem-kernel", "3")),
    Model("kws1d-64-int8", "INT8 control; ladder", _int8(64)),
    Model("kws1d-48-int8", "INT8 control, narrower", _int8(48)),
    Model("kws1d-32-int8", "INT8 control, narrower", _int8(32)),
    Model("kws1d-24-int8", "INT8 control, narrower", _int8(24)),
    Model("kws1d-32-w1a2", "smaller than tiny", _binary(32, "2", "--stem-kernel", "3")),
    Model("kws1d-28-w1a2", "nano", _binary(28, "2", "--stem-kernel", "3")),
    Model("kws1d-64-w1a4", "ladder", _binary(64, "4")),
    Model("kws1d-64-w1a1", "ladder", _binary(64, "1")),
    Model("kws1d-96-w1a2", "large", _binary(96, "2")),
    Model("dscnn-int8", "reference", _reference("dscnn-int8")),
    Model("kws1d-64-w1a3", "ladder", _binary(64, "3")),
    Model("kws1d-64-ternary-a2", "ladder", _binary(64, "2", "--weight", "twn")),
    Model("kws1d-64-w1a8", "ladder", _binary(64, "8")),
    _digits("digits-w1a1", "binary", "--act", "sign"),
    _digits("digits-w1a2", "binary, 2-bit activations"),
    _digits("digits-int8", "INT8 control", "--weight", "int8", "--act", "lsq:8"),
)

# Checkpoints that the taught ones learn from: (model, seed).
TEACHERS = (("teacher-fp32", 0), ("teacher-w1a4", 1), ("teacher-int8", 2))


def find(name: str) -> Model | None:
    """The model of that name."""
    return next((model for model in MODELS if model.name == name), None)


def seeds_of(model: Model, seeds: int) -> tuple[int, ...]:
    """The seeds to train of ``model`` where ``seeds`` are asked for."""
    return tuple(range(seeds)) if model.seeds is None else model.seeds


def schedule(seeds: int) -> list[tuple[Model, int]]:
    """Every run in order: teachers, then the first seed of each model, then the others, model by model."""
    order = [(model, seed) for model in MODELS for seed in seeds_of(model, seeds)]
    first = [item for item in order if (item[0].name, item[1]) in TEACHERS]
    rest = [item for item in order if item not in first]
    return first + sorted(rest, key=lambda item: item[1] > 0)
