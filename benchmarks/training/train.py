"""Trains one network of the tables by ``edgebnn train``, unless that was done; goes on after a kill."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.runs import TEACHERS, Model
from edgebnn.errors import EdgebnnError
from edgebnn.train.session import run_file


def checkpoint(work: Path, name: str, seed: int) -> Path:
    """Where the checkpoint of a run lies."""
    return work / f"{name}.{seed}.pt"


def arguments(model: Model, seed: int, data: str, work: str) -> list[str]:
    """Arguments of ``edgebnn train`` for a run; ``data`` and ``work`` as they are to be written."""
    told: list[str] = []
    if model.task == "kws":
        teachers = [f"{work}/{name}.{number}.pt" for name, number in TEACHERS] if model.taught else ["none"]
        told = [part for name in teachers for part in ("--teacher", name)]
    if model.taught:
        told += ["--teacher-cache", f"{work}/targets"]
    files = [*(["--data", data] if model.task == "kws" else []), "--out", f"{work}/{model.name}.{seed}.pt"]
    return [model.task, *files, *model.options, *told, "--seed", str(seed), "--threads", "1"]


def command(model: Model, seed: int | str = "SEED") -> str:
    """The command of a run as the tables show it."""
    return f"edgebnn train {shlex.join(arguments(model, 0, 'DIR', 'build/training'))}".replace(
        f"{model.name}.0.pt", f"{model.name}.{seed}.pt"
    ).replace("--seed 0", f"--seed {seed}")


def result(work: Path, model: Model, seed: int) -> dict[str, Any] | None:
    """What the run reported, or None when it is not done, or was done by another command."""
    path = checkpoint(work, model.name, seed)
    try:
        stored: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if path.is_file() and stored.get("command") == command(model, seed) else None


def run(data: Path, work: Path, model: Model, seed: int) -> dict[str, Any]:
    """Trains, and stores beside the checkpoint what was reported. Raises EdgebnnError when it fails."""
    done = result(work, model, seed)
    if done is not None:
        return done
    work.mkdir(parents=True, exist_ok=True)
    path = checkpoint(work, model.name, seed)
    resume = ["--resume"] if run_file(path).is_file() and not path.is_file() else []
    line = ["train", *arguments(model, seed, str(data), str(work)), "--json", *resume]
    process = subprocess.run([sys.executable, "-m", "edgebnn", *line], stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        raise EdgebnnError(f"{model.name}, seed {seed}: training failed")
    document: dict[str, Any] = {**json.loads(process.stdout), "command": command(model, seed)}
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document
