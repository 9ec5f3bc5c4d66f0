"""Importers: files people have -> the IR. Chosen by suffix and checked against the file's first bytes."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from edgebnn.errors import ModelError, UsageError
from edgebnn.ir import Graph


@dataclass(frozen=True)
class Importer:
    """One source format: its suffixes, the bytes its files start with, and the module whose ``load(path) -> Graph``
    reads it (imported only when used)."""

    title: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    module: str


#: a new importer is a module beside this one and a line here
IMPORTERS = (
    Importer("edgebnn model", (".ebnn",), (b"EBNN",), "edgebnn.converters.from_ebnn"),
    Importer("PyTorch checkpoint", (".pt", ".pth"), (b"PK\x03\x04",), "edgebnn.converters.from_torch"),
)


def importer_of(path: Path) -> Importer:
    """The importer of a file. Raises UsageError (missing, unreadable, unknown suffix) or ModelError (wrong content)."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    by_suffix = next((i for i in IMPORTERS if path.suffix.lower() in i.suffixes), None)
    by_magic = next((i for i in IMPORTERS if head.startswith(i.magic)), None)
    if by_suffix is None:
        known = ", ".join(s for i in IMPORTERS for s in i.suffixes)
        looks = (
            f"it looks like a {by_magic.title} ({by_magic.suffixes[0]})" if by_magic else f"known: {known}"
        )
        raise UsageError(f"{path}: unknown model suffix {path.suffix!r}", looks)
    if by_suffix is not by_magic:
        looks = (
            f"it looks like a {by_magic.title}" if by_magic else "it is damaged, truncated or of another kind"
        )
        raise ModelError(f"{path}: not a {by_suffix.title}", looks)
    return by_suffix


def load_model(path: Path | str) -> Graph:
    """The graph of a model file, float-annotated or already integer. Raises UsageError or ModelError."""
    path = Path(path)
    graph = importlib.import_module(importer_of(path).module).load(path)
    assert isinstance(graph, Graph)
    return graph
