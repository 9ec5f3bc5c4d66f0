"""Which instruction sets of kernels.def this machine's processor has."""

from __future__ import annotations

import functools
import importlib
import os
import platform
from collections.abc import Iterable

from edgebnn.errors import UsageError

#: overrides the choice: the best instruction set to use, e.g. avx2, word64 or portable
VARIABLE = "EDGEBNN_ISA"

#: features, by NumPy's names, that an instruction set's kernels use; those not listed need none
FEATURES: dict[str, tuple[str, ...]] = {
    "avx2": ("AVX2", "POPCNT"),
    "avx512": ("AVX2", "POPCNT", "AVX512_SKX"),
    "avx512_icl": ("AVX2", "POPCNT", "AVX512_ICL"),
}
_X86 = ("x86_64", "amd64")
MACHINES = {"neon": ("aarch64", "arm64"), "avx2": _X86, "avx512": _X86, "avx512_icl": _X86}


@functools.cache
def features() -> frozenset[str]:
    """The processor's features by NumPy's names: what NumPy, which dispatches its own loops by them, found at start; it
    asks processor and operating system."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        try:
            found = importlib.import_module(name).__cpu_features__
        except (ImportError, AttributeError):
            continue
        return frozenset(key for key, present in found.items() if present)
    return frozenset()


def supports(isa: str) -> bool:
    """True where this processor runs kernels of ``isa``."""
    machines = MACHINES.get(isa)
    if machines is not None and platform.machine().lower() not in machines:
        return False
    return isa != "mve" and all(f in features() for f in FEATURES.get(isa, ()))


def best_first(isas: Iterable[str], isa: str | None = None) -> tuple[str, ...]:
    """The instruction sets of ``isas``, given from most to least wanted, that this processor has, from ``isa`` on, or
    from the one that EDGEBNN_ISA names on. Raises UsageError where that is none of them."""
    present = tuple(isa for isa in isas if supports(isa))
    wanted = isa or os.environ.get(VARIABLE)
    if not wanted:
        return present
    if wanted not in present:
        source = f"instruction set {wanted}" if isa else f"{VARIABLE}={wanted}"
        raise UsageError(f"{source}: this processor has {', '.join(present)}")
    return present[present.index(wanted) :]
