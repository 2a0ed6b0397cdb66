"""Which part of a bill pays for what nobody used."""

from __future__ import annotations

import math
from collections.abc import Iterable

UNUSED = frozenset({"idle", "spare", "unused", "starting", "down", "after the study"})
"""Parts of lines that pay for what nobody used."""


def unused_share(lines: Iterable[tuple[str, float]]) -> float | None:
    """USD of the parts in `UNUSED` / USD of all that is paid, credits apart; None where nothing is paid.

    Parameters
    ----------
    lines : part and USD of each line
    """
    paid = [(part, usd) for part, usd in lines if usd > 0]
    whole = math.fsum(usd for _, usd in paid)
    return math.fsum(usd for part, usd in paid if part in UNUSED) / whole if whole else None
