"""A whole benchmark: every chosen layer and network in every instruction set, in passes spread over time."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebnn.bench import measure, networks, report
from edgebnn.bench.layers import Layer
from edgebnn.bench.process import Contender, Process
from edgebnn.bench.required import required
from edgebnn.errors import EdgebnnError

Say = Callable[[str], None]


@dataclass
class Session:
    """``layers`` and names of ``networks`` to measure for ``isas``; ``others``: peers beside PyTorch, for layers."""

    isas: Sequence[str]
    layers: Sequence[Layer]
    networks: Sequence[str]
    settings: report.Settings
    others: Sequence[Contender] = ()
    missing: Sequence[str] = ()
    say: Say = lambda text: None
    _timings: dict[tuple[str, str], list[report.Pass]] = field(default_factory=lambda: defaultdict(list))
    _versions: dict[str, str] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """The document (report.py) with the figures that are required."""
        failed: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            files: dict[str, Path] = {}
            for name in self.networks:
                try:
                    files[name] = networks.write(name, Path(folder))
                except EdgebnnError as error:
                    failed.append({"kind": "network", "shape": name, "isa": "any", "error": str(error)})
                    self.say(f"{name}: {error}")
            for number in range(self.settings.passes):
                if self.settings.passes > 1:
                    self.say(f"pass {number + 1} of {self.settings.passes}")
                for isa in self.isas:
                    self._pass(isa, files)
        results = [
            report.result(layer, isa, self._timings[isa, f"{layer.name} {layer.precision()}"])
            for isa in self.isas
            for layer in self.layers
        ]
        results += [
            report.network(name, isa, self._timings[isa, name]) for isa in self.isas for name in files
        ]
        made = report.document([*results, *failed], self.isas, self._versions, self.settings, [*self.missing])
        made["required"] = [figure.to_dict() for figure in required(made)]
        return made

    def _pass(self, isa: str, files: dict[str, Path]) -> None:
        threads, rounds = self.settings.threads, self.settings.rounds
        if self.layers:
            chosen = [c for c in measure.contenders(isa) if threads == 1 or c.name != measure.KERNEL]
            processes = [Process(c, threads) for c in (*chosen, *self.others)]
            try:
                for layer in self.layers:
                    timings = measure.time_layer(processes, layer, rounds, threads)
                    self._keep(isa, f"{layer.name} {layer.precision()}", timings)
                    self.say(report.line(report.result(layer, isa, [timings])))
            finally:
                for process in processes:
                    process.close()
        for name, file in files.items():
            processes = [Process(c, threads) for c in networks.contenders(isa)]
            try:
                timings = networks.time_network(processes, name, file, rounds, threads)
                self._keep(isa, name, timings)
                self.say(report.line(report.network(name, isa, [timings])))
            finally:
                for process in processes:
                    process.close()

    def _keep(self, isa: str, name: str, timings: report.Pass) -> None:
        self._timings[isa, name].append(timings)
        for timing in timings.values():
            self._versions.update(timing.about.get("versions", {}))
