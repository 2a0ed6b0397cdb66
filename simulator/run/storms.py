"""Whether a token API answered 429, whatever its limits are, while a topology was measured."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.study.fleet import ProviderSpec
from simulator.study.usage import Usage


def stormed(api: ProviderSpec, usages: Iterable[Usage]) -> bool:
    """Whether a time of its `throttling` meets the window of one of them."""
    times = [(start_s, end_s) for start_s, end_s, _ in api.throttling]
    return any(start_s < usage.end_s and end_s > usage.start_s for usage in usages for start_s, end_s in times)
