"""Two parts of the tests: what `make test` runs, and what it leaves to `make test-exhaustive`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numba
import pytest
from hypothesis import settings

from simulator.engine.modes.rooms.arrays import NoRooms
from simulator.engine.modes.tables.arrays import OneTable
from simulator.engine.state import Engines

SHARE, SHARE_INTERPRETED, FEWEST_EXAMPLES = 5, 25, 10
"""Of so many examples of a property one is tried quickly, but not fewer than the last of them."""
SETTINGS = "_hypothesis_internal_use_settings"
"""Where Hypothesis keeps what a property was given; it offers no other way to change it from outside."""


def few(values: Iterable[Any], *quick: Any) -> list[Any]:
    """The values for `parametrize`, tuples for several names; all but the `quick` ones are marked `exhaustive`."""
    listed = list(values)
    assert all(value in listed for value in quick), "what is tried quickly is one of the values"
    costly = pytest.mark.exhaustive
    return [
        value if value in quick else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=costly)
        for value in listed
    ]


def fewer_examples(function: Any) -> settings | None:
    """What a property is given in the quick part; None where it is no property, or tries few examples anyway."""
    asked = getattr(function, SETTINGS, None)
    if asked is None:
        return None
    fewer = max(asked.max_examples // (SHARE_INTERPRETED if numba.config.DISABLE_JIT else SHARE), FEWEST_EXAMPLES)
    return settings(asked, max_examples=fewer) if fewer < asked.max_examples else None


def chosen(items: Sequence[pytest.Item], part: str) -> list[pytest.Item]:
    """The tests of a part; properties that are tried with fewer examples in the quick part are in both."""
    if part == "all":
        return list(items)
    functions = {getattr(item, "function", None) for item in items}
    cut = {function: given for function in functions if (given := fewer_examples(function)) is not None}
    if part == "quick":
        for function, given in cut.items():
            setattr(function, SETTINGS, given)
        return [item for item in items if item.get_closest_marker("exhaustive") is None]
    return [item for item in items if item.get_closest_marker("exhaustive") or getattr(item, "function", None) in cut]


def of_share(items: Sequence[pytest.Item], share: str) -> list[pytest.Item]:
    """Every N-th test from the K-th on, of those in the order of their names; `share` is K/N, counted from 1."""
    match = re.fullmatch(r"(\d+)/(\d+)", share)
    k, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= k <= n:
        raise pytest.UsageError(f"--share {share}: K/N with 1 <= K <= N")
    kept = {item.nodeid for item in sorted(items, key=lambda item: item.nodeid)[k - 1 :: n]}
    return [item for item in items if item.nodeid in kept]


def rarer_kind(engines: Engines) -> str:
    """What makes the kernels of these engines one of the kinds that `make test` does not compile; empty for others."""
    if not isinstance(engines.rooms, NoRooms):
        return "requests that are asked about in every plan"
    return "" if isinstance(engines.groups, OneTable) else "several KV cache groups"
