"""Post-training quantisation beside training with quantisation, on the digits and, with EDGEBNN_DATA, on keywords.

python scripts/ptq_report.py [--out benchmarks/training/ptq.md] [--epochs 25] [--kws-epochs 14]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebnn import models
from edgebnn.train import reproducible
from edgebnn.train.digits import load_digits
from edgebnn.train.kws import LabelledFeatures, load_kws
from edgebnn.train.loop import TrainConfig, Trainer
from edgebnn.train.network import Network
from edgebnn.train.ptq.report import ALL, accuracy, compare

METHODS = ALL
#: the same precisions, trained
TRAINED = ("int8", "int:4", "pot", "twn", "xnor")


def train(arch: dict[str, Any], features: LabelledFeatures, config: TrainConfig) -> Network:
    """A network of ``arch`` trained from scratch."""
    reproducible.seed(config.seed)
    network = models.build(arch)
    Trainer(network, features, config).run()
    return network


def section(title: str, arch: dict[str, Any], features: LabelledFeatures, config: TrainConfig) -> list[str]:
    """Lines of a table: float, every post-training method, and precisions of them trained."""
    act = "int8:unsigned" if arch["name"] == "dscnn" else "int8"
    trained = train({**arch, "weight": "float", "act": "float"}, features, config)
    head = f"{title}, {len(features.val_label)} validation clips, {config.epochs} epochs"
    lines = [f"## {head}", "", "| method | accuracy | largest clipped share |", "| --- | ---: | ---: |"]
    lines.append(f"| float | {100 * accuracy(trained, features):.2f} | |")
    for row in compare(models.build, trained, features, methods=METHODS):
        clipped = max(r.clipped for r in row.ranges.values())
        lines.append(f"| after training: {row.method} | {100 * row.accuracy:.2f} | {100 * clipped:.3f} % |")
        print(lines[-1], flush=True)
    for weight in TRAINED if arch["name"] != "dscnn" else ("int8", "twn"):
        network = train({**arch, "weight": weight, "act": act}, features, config)
        share = accuracy(network, features)
        lines.append(f"| in training: {weight} weights, 8-bit activations | {100 * share:.2f} | |")
        print(lines[-1], flush=True)
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/training/ptq.md"))
    parser.add_argument("--epochs", type=int, default=25, help="of the digits")
    parser.add_argument("--kws-epochs", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    reproducible.seed(0, options.threads)
    lines = [
        "# Post-training quantisation beside training with quantisation",
        "",
        "Validation accuracy in percent, one seed, 256 calibration clips. First, last and depthwise layers are INT8.",
        "`drop` is the share of activations left unquantised while weights are solved. Networks learn from labels",
        "alone, without teachers. Made by `make results-ptq`.",
        "",
    ]
    plain = TrainConfig.plain(epochs=options.epochs, batch_size=64)
    lines += section(
        "Digits, 24 channels", {"name": "cnn", "channels": 24, "blocks": 2}, load_digits(), plain
    )
    folder = os.environ.get("EDGEBNN_DATA")
    if folder:
        keywords = load_kws(Path(folder))
        config = TrainConfig(epochs=options.kws_epochs, distill=0.0, mixup=0.0, weight_decay=5e-4)
        # In float and with s8 activations, no quantiser bends the blocks' signals: PReLU does.
        arch = {"name": "kws1d", "layers": {"blocks.*": {"after": "prelu"}}}
        lines += section("Keywords, one-dimensional network with PReLU", arch, keywords, config)
        lines += section("Keywords, DS-CNN", {"name": "dscnn"}, keywords, config)
    else:
        lines += ["The keyword networks are missing: EDGEBNN_DATA was not set.", ""]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_name(f".{options.out.name}.part")
    part.write_text("\n".join(lines), encoding="utf-8")
    part.replace(options.out)


if __name__ == "__main__":
    main()
