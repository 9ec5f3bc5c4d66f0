"""All kernel candidates. A new kernel family adds its CANDIDATES here."""

from __future__ import annotations

from edgebnn.plan import (
    bits,
    cortex_m_quantize,
    cortex_m_s8,
    elementwise,
    lanes,
    mve_s8,
    neon,
    portable,
    rows,
    wide,
    wide_s8,
)
from edgebnn.plan.types import Candidate

CANDIDATES: tuple[Candidate, ...] = (
    *neon.CANDIDATES,
    *wide.CANDIDATES,
    *rows.CANDIDATES,
    *wide_s8.CANDIDATES,
    *elementwise.CANDIDATES,
    *bits.CANDIDATES,
    *lanes.CANDIDATES,
    *mve_s8.CANDIDATES,
    *cortex_m_s8.CANDIDATES,
    *cortex_m_quantize.CANDIDATES,
    *portable.CANDIDATES,
)
