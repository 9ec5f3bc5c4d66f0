"""Checkpoints of `edgebnn train`: the network is rebuilt from its description and exports itself, layer by layer."""

from __future__ import annotations

import re
from pathlib import Path

from edgebnn.errors import ToolchainError
from edgebnn.ir import Graph
from edgebnn.ir.builder import Builder
from edgebnn.ir.verify import reserved


def load(path: Path) -> Graph:
    """The float-annotated graph of a checkpoint; nothing pickled is executed.

    ``meta`` holds labels and front-end parameters. Raises ModelError (damaged, unknown architecture), UsageError
    (missing) or ToolchainError (torch is not installed).
    """
    try:
        from edgebnn import models
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ToolchainError(
            f"{path}: reading a checkpoint needs PyTorch", "pip install 'edgebnn[train]'"
        ) from None
    checkpoint = models.load(path)
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)[:50] or "model"
    if not name[0].isalpha() or reserved(name):
        name = f"model_{name}"
    builder = Builder(name, {"labels": list(checkpoint.labels), "frontend": checkpoint.frontend})
    checkpoint.network.export_ir(builder)
    return builder.build()
