"""What the x86 kernels must reach, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgebnn.bench.layers import BINARY
from edgebnn.bench.measure import MEMORY
from edgebnn.bench.networks import TORCH

_SIX = [layer.name for layer in BINARY if layer.name != "dense 1024 batch 1"]
LITERT = "LiteRT/XNNPACK int8"
#: (ISA, peer): peer time / ours for the six shapes, at least; those for int8 also what to aim at
RATIOS: dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...] | None]] = {
    ("avx2", "oneDNN int8"): ((8.0, 6.8, 9.0, 6.5, 4.0, 4.7), (12, 10, 14, 8, 6, 6)),
    ("avx2", "oneDNN fp32"): ((10, 9, 11, 11, 3.8, 4.0), None),
    ("avx512", "oneDNN int8"): ((5.0, 4.7, 2.6, 4.0, 4.5, 2.4), (7, 6, 5, 5, 7, 3)),
    ("avx512", "oneDNN fp32"): ((14, 13, 8.5, 13, 9, 9), None),
}
#: our time of another precision / that of the binary layer, at most
PRECISIONS = {"edgebnn, 2-bit activations": 2.1, "edgebnn, ternary weights": 1.6}
#: products a second of 2-bit weights x s8 with the weights in the cache
IN_CACHE = 50e9
#: share of the products that the memory's reading speed allows, with the weights from there; no more than IN_CACHE
STREAMING = 0.7
BITS = 2
NETWORK, NETWORK_RATIO = "binary ResNet-18 224x224", 6.0


@dataclass(frozen=True)
class Required:
    """One figure: "at least" or, ``at_most``, at most ``required``. ``measured`` None: not measured; ``passes``: its
    value in each pass."""

    what: str
    isa: str
    required: float
    measured: float | None
    passes: Sequence[float] = ()
    aim: float | None = None
    at_most: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.required if self.at_most else self.measured >= self.required

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        verdict = {None: "not measured", True: "met", False: "MISSED"}[self.met]
        return {
            "what": self.what,
            "isa": self.isa,
            "sign": "<=" if self.at_most else ">=",
            "required": self.required,
            "aim": self.aim,
            "measured": self.measured,
            "passes": list(self.passes),
            "unit": self.unit,
            "verdict": verdict,
        }


def _ratio(what: str, entry: Mapping[str, Any], beside: str, required: float, **more: Any) -> Required:
    found = {**entry["peers"], **entry.get("own", {})}.get(beside, {})
    return Required(what, entry["isa"], required, found.get("ratio"), found.get("passes", ()), **more)


def required(document: Mapping[str, Any]) -> list[Required]:
    """The figures for the layers and networks that the document has, failed ones too: single-threaded ones only, as
    required."""
    if document["threads"] != 1:
        return []
    entries = {(r["shape"], r.get("precision"), r["isa"]): r for r in document["results"]}
    for f in document["failed"]:  # "any": of no instruction set
        for isa in document["isa"] if f["isa"] == "any" else [f["isa"]]:
            entries[f["shape"], f.get("precision"), isa] = {"isa": isa, "peers": {}, "own": {}}
    found: list[Required] = []
    for isa in document["isa"]:
        for index, shape in enumerate(_SIX):
            entry = entries.get((shape, "binary x b1", isa))
            if entry is None:
                continue
            for (of, peer), (least, aims) in RATIOS.items():
                if of == isa:
                    aim = aims[index] if aims else None
                    found.append(
                        _ratio(f"{shape}, binary: {peer} / ours", entry, peer, least[index], aim=aim)
                    )
        found += _precisions(entries, isa)
        found += _dense(entries, isa, document)
        if entry := entries.get((NETWORK, None, isa)):
            found.append(_ratio(f"{NETWORK}: {TORCH} / ours", entry, TORCH, NETWORK_RATIO))
    return found


_Entries = Mapping[tuple[str, Any, str], Mapping[str, Any]]


def _precisions(entries: _Entries, isa: str) -> list[Required]:
    """Other precisions beside the binary layer of the same shape."""
    found = []
    for name, most in PRECISIONS.items():
        for shape in _SIX:
            if entry := entries.get((shape, "binary x b1", isa)):
                what = f"{shape}: {name.removeprefix('edgebnn, ')} / binary, 1-bit"
                found.append(_ratio(what, entry, name, most, at_most=True))
    return found


def _dense(entries: _Entries, isa: str, document: Mapping[str, Any]) -> list[Required]:
    """Batch 1, by XNNPACK where LiteRT is there and by our own s8 layer, and 2-bit weights x s8."""
    found = []
    if isa == "avx2" and (entry := entries.get(("dense 1024 batch 1", "binary x b1", isa))):
        peers = [("edgebnn, s8", 4.0)]
        if not any(reason.startswith(LITERT) for reason in document["missing"]):
            peers = [(LITERT, 4.5), *peers]
        found += [
            _ratio(f"dense 1024 batch 1, binary: {peer}{_uncapped(entry, peer)} / ours", entry, peer, least)
            for peer, least in peers
        ]
    products = {"unit": " GMAC/s"}
    streaming = entries.get(("dense 4096 batch 1, streaming", "ternary x s8", isa))
    if streaming:
        if MEMORY not in streaming["own"]:
            streaming = {"isa": isa}
        read = streaming.get("own", {}).get(MEMORY, {}).get("bytes_per_s", 10e9)
        least = min(STREAMING * read * 8 / BITS, IN_CACHE)
        limit = f"{STREAMING:.0%} of what {read / 1e9:.1f} GB/s allow, no more than in the cache"
        what = f"2-bit weights x s8, 4096x4096, from memory ({limit})"
        found.append(_products(what, streaming, least, products))
    if isa == "avx2" and (cached := entries.get(("dense 4096 batch 1", "ternary x s8", isa))):
        found.append(_products("2-bit weights x s8, 4096x4096, in the cache", cached, IN_CACHE, products))
    return found


def _uncapped(entry: Mapping[str, Any], peer: str) -> str:
    return " (any ISA)" if entry["peers"].get(peer, {}).get("isa") == "any" else ""


def _products(what: str, entry: Mapping[str, Any], least: float, more: dict[str, Any]) -> Required:
    if "mac_per_s" not in entry:
        return Required(what, entry["isa"], round(least / 1e9, 1), None, **more)
    speed = entry["mac_per_s"] / 1e9
    passes = [round(speed * entry["us"] / us, 1) for us in entry["passes_us"]]
    return Required(what, entry["isa"], round(least / 1e9, 1), round(speed, 1), passes, **more)
