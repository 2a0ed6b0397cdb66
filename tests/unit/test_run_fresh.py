"""Months that hardly keep the SLO: which of them fresh traffic was asked of is said exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.resolve.topology import plan_topology
from simulator.run.fresh import fresh_words
from simulator.run.months import Journey, served
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.study.decision import HOLDS_ON_FRESH, MISSES_ON_FRESH, Walked

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}"
NOT_TRIED = ": some level of the SLO is kept by less than two standard errors, unlike in month 1 without a trial on"


def month(number: int, load: float, near: bool = True, meets: bool = True, event: str = "") -> Walked:
    share: Any = SimpleNamespace(served=SimpleNamespace(is_near=near))
    return Walked(number, (load,), (1,), meets, 1.0, "", (share,), event)


def told(*months: Walked, **edges: str) -> list[str]:
    return fresh_words(Journey(months, (), edges={int(key.removeprefix("m")): edge for key, edge in edges.items()}))


def test_months_under_the_load_of_the_first_are_tried_with_it() -> None:
    assert not told(month(1, 1.0), month(2, 1.0), month(3, 1.0))


def test_months_that_grow_are_named_where_they_hardly_keep_the_slo() -> None:
    months = [month(1, 1.0), month(2, 1.1), month(3, 1.2), month(4, 1.3, near=False), month(5, 1.4, meets=False)]
    (words,) = told(*months, month(6, 1.5))
    assert words.startswith(f"months 2 to 3, 6{NOT_TRIED}")
    assert not told(*[replace(one, meets=False) for one in months])


@pytest.mark.parametrize(
    ("edge", "said"), [(MISSES_ON_FRESH, [f"from month 3: {MISSES_ON_FRESH}"]), (HOLDS_ON_FRESH, []), ("", [])]
)
def test_what_fresh_traffic_says_at_an_event_is_told(edge: str, said: list[str]) -> None:
    """The month of the event is tried, one of the same load before it too; the next load is not."""
    months = [month(1, 1.0), month(2, 1.0), month(3, 1.0, event="gpu"), month(4, 1.0)]
    assert told(*months, m3=edge) == said
    *first, words = told(*months, month(5, 1.1), m3=edge)
    assert first == said
    assert words.startswith(f"month 5{NOT_TRIED}")


def test_after_an_event_that_leaves_sizes_as_written_nothing_was_tried() -> None:
    (words,) = told(month(1, 1.0), month(2, 1.0), month(3, 1.0, event="prices"), month(4, 1.0))
    assert words.startswith(f"months 3 to 4{NOT_TRIED}")


@pytest.mark.parametrize(
    ("quantile", "near", "meets"), [("p50", False, True), ("p90", True, True), ("p99", False, False)]
)
def test_what_is_served_is_near_where_a_term_has_little_to_spare(
    tmp_path: Path, quantile: str, near: bool, meets: bool
) -> None:
    """Some 92 in a hundred of 744 requests keep a limit, ± 1.1: far from half, near nine in ten, below 99 %."""
    slo = f"workload.classes[chat].slo={{ttft_s: {{{quantile}: 0.051}}, served: 0.5}}"
    loaded = written(tmp_path, chat(OWN, study="months: 1", rate_rps=15), slo)
    found = served([simulate_one(subject_of(plan_topology(loaded, "own")), demand_of(loaded), 0)], demand_of(loaded))
    assert 0.91 < found.attainment < 0.922
    assert (found.is_near, found.meets) == (near, meets)
