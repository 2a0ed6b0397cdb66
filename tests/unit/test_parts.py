"""No test is in neither part, and a property that is cut short in the quick one is tried whole in the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import SETTINGS, chosen, few, of_share, rarer_kind

from simulator.engine.allocate import EnginePool, allocate_engines
from simulator.fleet.records import RECORD
from simulator.run.bench import Setting, fleet_spec

TRIED: list[int] = []


@settings(max_examples=100, deadline=None, database=None)
@given(st.integers())
def property_of_a_hundred(number: int) -> None:
    TRIED.append(number)


@settings(max_examples=8, deadline=None, database=None)
@given(st.integers())
def property_of_eight(number: int) -> None:
    TRIED.append(number)


def item(function: Any, *, costly: bool = False) -> Any:
    return SimpleNamespace(function=function, get_closest_marker=lambda name: costly or None)


def test_each_test_is_in_a_part_and_properties_that_are_cut_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(property_of_a_hundred, SETTINGS, getattr(property_of_a_hundred, SETTINGS))
    items = [
        item(len),
        item(len, costly=True),
        item(property_of_a_hundred),
        item(property_of_a_hundred, costly=True),
        item(property_of_eight),
        SimpleNamespace(get_closest_marker=lambda name: None),
    ]
    exhaustive, quick = (chosen(items, part) for part in ("exhaustive", "quick"))
    assert [items.index(each) for each in quick] == [0, 2, 4, 5]
    assert [items.index(each) for each in exhaustive] == [1, 2, 3]


def test_shares_are_alike_in_size_and_each_test_is_in_one() -> None:
    items: list[Any] = [SimpleNamespace(nodeid=f"test_{k * 7 % 10}") for k in range(10)]
    shares = [of_share(items, f"{k}/3") for k in (1, 2, 3)]
    assert sorted(item.nodeid for share in shares for item in share) == [f"test_{k}" for k in range(10)]
    assert [len(share) for share in shares] == [4, 3, 3]
    assert of_share(items, "1/1") == items
    for share in ("3/2", "0/2", "half", "1"):
        with pytest.raises(pytest.UsageError, match="K/N with 1 <= K <= N"):
            of_share(items, share)


@pytest.mark.parametrize(("part", "least"), [("quick", 10), ("exhaustive", 60)])
def test_only_the_quick_part_tries_fewer_examples(part: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(property_of_a_hundred, SETTINGS, getattr(property_of_a_hundred, SETTINGS))
    chosen([item(property_of_a_hundred)], part)
    TRIED.clear()
    property_of_a_hundred()
    assert least <= len(TRIED)
    assert (len(TRIED) < 60) == (part == "quick")


def test_what_is_not_quick_is_marked() -> None:
    first, second, third = few([1, 2, 3], 2)
    assert second == 2
    assert [[mark.name for mark in each.marks] for each in (first, third)] == [["exhaustive"]] * 2
    (pair, _) = few([("a", 1), ("b", 2)], ("b", 2))
    assert pair.values == ("a", 1)
    with pytest.raises(AssertionError):
        few([1, 2], 3)


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        (Setting(), ""),
        (Setting(asynchronous=True, prefix_caching=True), ""),
        (Setting(windows=True), "several KV cache groups"),
        (Setting(adapters=True), "requests that are asked about in every plan"),
    ],
)
def test_kernels_that_the_quick_part_does_not_compile_are_told(setting: Setting, kind: str) -> None:
    pools = [EnginePool(pool.engine, pool.step_time, pool.power_w_by_seqs, 1) for pool in fleet_spec(setting).pools]
    assert rarer_kind(allocate_engines(pools, 1, RECORD)) == kind
