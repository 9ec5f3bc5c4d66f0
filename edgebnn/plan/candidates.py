"""All kernel candidates. A new kernel family adds its CANDIDATES here."""

from __future__ import annotations

from edgebnn.plan import lanes, portable
from edgebnn.plan.types import Candidate

CANDIDATES: tuple[Candidate, ...] = (*lanes.CANDIDATES, *portable.CANDIDATES)
