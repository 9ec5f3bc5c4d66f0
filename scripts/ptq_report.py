"""Post-training quantisation beside training with quantisation, on the digits and, with EDGEBNN_DATA, on keywords.

python scripts/ptq_report.py [--out benchmarks/training/ptq.md] [--epochs 20] [--kws-epochs 14]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from edgebnn import models
from edgebnn.train import reproducible
from edgebnn.train.digits import load_digits
from edgebnn.train.kws import LabelledFeatures, load_kws
from edgebnn.train.loop import TrainConfig, Trainer
from edgebnn.train.network import Network
from edgebnn.train.ptq.report import accuracy, compare


def train(arch: dict[str, Any], features: LabelledFeatures, config: TrainConfig) -> Network:
    """A network of ``arch`` trained from scratch."""
    reproducible.seed(config.seed)
    network = models.build(arch)
    Trainer(network, features, config).run()
    return network


def section(title: str, arch: dict[str, Any], features: LabelledFeatures, config: TrainConfig) -> list[str]:
    """Lines of a table: float, every post-training method, and the same precisions trained."""
    act = "int8:unsigned" if arch["name"] == "dscnn" else "int8"
    trained = train({**arch, "weight": "float", "act": "float"}, features, config)
    lines = [f"## {title}", "", "| method | accuracy | largest clipped share |", "| --- | ---: | ---: |"]
    lines.append(f"| float | {100 * accuracy(trained, features):.2f} | |")
    for row in compare(models.build, trained, features):
        clipped = max(r.clipped for r in row.ranges.values())
        lines.append(f"| after training: {row.method} | {100 * row.accuracy:.2f} | {100 * clipped:.3f} % |")
        print(lines[-1], flush=True)
    for weight in ("int8", "twn", "xnor"):
        network = train({**arch, "weight": weight, "act": act}, features, config)
        share = accuracy(network, features)
        lines.append(f"| in training: {weight} weights, 8-bit activations | {100 * share:.2f} | |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/training/ptq.md"))
    parser.add_argument("--epochs", type=int, default=20, help="of the digits")
    parser.add_argument("--kws-epochs", type=int, default=14)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    reproducible.seed(0, options.threads)
    lines = [
        "# Post-training quantisation beside training with quantisation",
        "",
        "Validation accuracy in percent, one seed, 256 calibration clips. `drop` is the share of activations left",
        "unquantised while weights are solved. Made by `make results-ptq`.",
        "",
    ]
    plain = TrainConfig.plain(epochs=options.epochs, batch_size=64)
    lines += section(
        "Digits, 24 channels", {"name": "cnn", "channels": 24, "blocks": 2}, load_digits(), plain
    )
    folder = os.environ.get("EDGEBNN_DATA")
    if folder:
        config = TrainConfig(epochs=options.kws_epochs, distill=0.0)
        lines += section(
            "Keywords, one-dimensional network", {"name": "kws1d"}, load_kws(Path(folder)), config
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
