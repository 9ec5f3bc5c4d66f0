"""What a checkpoint costs on a Cortex-M4, and that its integer form decides like the trained network."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgebnn import models, targets
from edgebnn.converters import load_model
from edgebnn.emit import emit
from edgebnn.estimate.model import estimate
from edgebnn.host import Runtime
from edgebnn.passes import lower
from edgebnn.plan import plan
from edgebnn.search.tasks import load_task
from edgebnn.train.loop import predict

TARGET = "cortex-m4"


def measure(path: Path) -> dict[str, Any]:
    """For each preference of the planner: bytes of weights and constants, bytes of arena, instructions and
    estimated cycles of the emitted image.
    """
    graph = lower(load_model(path))
    result: dict[str, Any] = {}
    for optimize in ("size", "speed"):
        with tempfile.TemporaryDirectory() as folder:
            emit(plan(graph, targets.load(TARGET), optimize=optimize), Path(folder))
            report = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
            counted = estimate(Path(folder), None, "2")
        assert counted.cycles is not None
        result[optimize] = {
            "bytes": report["flash"]["total"],
            "arena": report["arena"],
            "cycles": counted.cycles.nominal,
            "instructions": counted.instructions,
        }
    return result


def disagreements(path: Path, task: str, data: Path) -> int:
    """How many validation clips of ``task`` the integer model, run on this machine, and the trained network put in
    different classes.
    """
    torch.set_num_threads(1)
    val = load_task(task, data).val
    trained = predict(models.load(path).network, torch.from_numpy(val)).numpy()
    runtime = Runtime(plan(lower(load_model(path)), targets.load("host")))
    deployed = np.array([int(np.argmax(np.asarray(runtime.run(clip)).ravel())) for clip in val])
    return int((deployed != trained).sum())
