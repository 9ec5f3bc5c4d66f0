"""`.ebnn` files: already integer graphs."""

from __future__ import annotations

from pathlib import Path

from edgebnn.ir import Graph
from edgebnn.ir import load as load_graph


def load(path: Path) -> Graph:
    """Reads and verifies the file. Raises ModelError."""
    return load_graph(path)
