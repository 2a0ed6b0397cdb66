"""Who is cheapest: laws of the one place that says it."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.decide.rivals import cheapest, equal, rank
from simulator.decide.standing import contenders
from simulator.decide.why import flip_words, sentence
from simulator.study.decision import HOLDS_ON_FRESH, Contender, Flip

CONTENDERS = st.lists(
    st.builds(
        Contender,
        name=st.sampled_from("abcdefgh"),
        meets=st.booleans(),
        usd_per_month=st.integers(1, 5).map(float),
        attainment=st.floats(0, 1),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one.name,
)


@given(CONTENDERS)
@settings(max_examples=80, deadline=None)
def test_only_those_that_meet_are_ranked_and_the_winners_cost_least(found: list[Contender]) -> None:
    ranking = rank(found)
    by_name = {one.name: one for one in found}
    assert set(ranking.order) == {one.name for one in found if one.meets}
    assert set(ranking.missing) == {one.name for one in found if not one.meets}
    if not ranking.order:
        assert ranking.closest is not None
        assert by_name[ranking.closest].attainment == max(one.attainment for one in found)
        return
    least = min(one.usd_per_month for one in found if one.meets)
    assert set(ranking.winners) == {one.name for one in found if one.meets and one.usd_per_month == least}
    assert cheapest(found) in ranking.winners


@given(CONTENDERS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_and_names_change_no_winner(found: list[Contender], random: object) -> None:
    shuffled = sorted(found, key=lambda one: one.name[::-1], reverse=True)
    assert set(rank(found).winners) == set(rank(shuffled).winners)
    renamed = [Contender(f"x{one.name}", one.meets, one.usd_per_month) for one in found]
    assert {f"x{name}" for name in rank(found).winners} == set(rank(renamed).winners)


def test_a_topology_that_misses_never_wins_however_cheap() -> None:
    found = [Contender("lost", False, 1.0, attainment=0.13), Contender("serves", True, 1000.0, attainment=1.0)]
    assert rank(found).winners == ("serves",)
    assert "lost misses the SLO" in sentence(found)


def test_bills_within_their_paired_interval_are_equal() -> None:
    noise = np.array([0.0, 5.0, -4.0])
    base = np.array([100.0, 140.0, 90.0])
    a = Contender("a", True, float(base.mean()), tuple(base))
    near = Contender("near", True, float((base + noise).mean()), tuple(base + noise))
    far = Contender("far", True, float((base + 8 + noise / 10).mean()), tuple(base + 8 + noise / 10))
    assert equal(a, near)
    assert not equal(a, far), "the replications spread widely, their differences do not"
    assert set(rank([a, near, far]).winners) == {"a", "near"}
    assert "same within the noise" in sentence([a, near, far])
    assert "next is far" in sentence([a, near, far])


@pytest.mark.parametrize(("edge", "said"), [("at the edge: misses on fresh traffic", True), (HOLDS_ON_FRESH, False)])
def test_a_winner_that_misses_on_fresh_traffic_is_said_to_be_at_the_edge(edge: str, said: bool) -> None:
    def told(usd: float, edge: str) -> dict[str, Any]:
        metrics = {"slo_met": True, "slo_attainment": 0.99}
        return {"metrics": metrics, "cost": {"usd_per_month": usd}, "search": {"edge": edge}}

    text = sentence(contenders({"a": told(100.0, edge), "b": told(300.0, "at the edge: of a loser")}))
    assert (f"$100 per month; a is {edge}; next is b at $300" in text) == said
    assert "of a loser" not in text


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (15_000.0, " (+50%)"),
        (120_000.0, " (12 times as much)"),
        (7.5e9, ""),
        (10_038.0, " (+0.4%)"),
        (10_004.0, " (+0.04%)"),
    ],
)
def test_how_much_more_the_next_costs_is_told_where_it_says_something(usd: float, said: str) -> None:
    text = sentence([Contender("a", True, 10_000.0), Contender("b", True, usd)])
    assert text.endswith(f"next is b at ${usd:,.0f}{said}.")


@pytest.mark.parametrize(("factor", "said"), [(1.0038, "1.004"), (0.9962, "0.996"), (0.38, "0.38"), (2.253, "2.25")])
def test_a_flip_near_today_is_told_from_it(factor: float, said: str) -> None:
    flip = Flip("price of tokens", factor, "b", (0.1, 10.0))
    assert flip_words(flip) == f"price of tokens at × {said}: b"


def test_a_single_replication_has_no_interval() -> None:
    assert rank([Contender("a", True, 100.0, (100.0,)), Contender("b", True, 100.1, (100.1,))]).winners == ("a",)


@pytest.mark.parametrize(
    ("usd", "other_usd", "same"),
    [
        (43_907.1, 43_907.9, True),
        (43_907.1, 43_908.2, False),
        (1.70, 1.44, False),
        (1.704, 1.708, True),
        (800.0, 800.5, False),
        (0.0, 0.0, True),
    ],
)
def test_bills_that_are_printed_alike_are_equal_without_replications(usd: float, other_usd: float, same: bool) -> None:
    ranking = rank([Contender("a", True, usd, (usd,)), Contender("b", True, other_usd, (other_usd,))])
    assert (len(ranking.winners) == 2) == same


def test_a_copy_shares_the_verdict_and_one_fleet_is_said_once() -> None:
    own = Contender("owned", True, 100.0, (99.0, 101.0), fleet="k")
    hybrid = Contender("hybrid", True, 100.0, (99.0, 101.0), fleet="k")
    ranking = rank([own, hybrid, Contender("api", True, 120.0, (119.0, 121.0))])
    assert set(ranking.winners) == {"owned", "hybrid"}
    assert ranking.same == (("hybrid", "owned"),)
    text = sentence([own, hybrid])
    assert "hybrid is the same fleet as owned" in text
    assert "noise" not in text


def test_a_gap_that_reaches_below_the_winner_withholds_the_verdict() -> None:
    best = Contender("best", True, 100.0)
    assert rank([best, Contender("open", True, 120.0, least_usd=105.0)]).withheld_by == ()
    found = [best, Contender("open", True, 120.0, least_usd=95.0)]
    assert rank(found).withheld_by == ("open",)
    assert sentence(found).startswith("No verdict")
    unmet = Contender("unmet", False, 120.0, least_usd=89.0)
    assert rank([best, unmet]).withheld_by == ("unmet",)


@given(CONTENDERS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_changes_neither_who_comes_closest_nor_the_sentence(found: list[Contender], random: Random) -> None:
    """Where two are alike in everything that is said, either may be named."""
    missing = [replace(one, meets=False, usd_per_month=100.0 + k) for k, one in enumerate(found)]
    shuffled = random.sample(missing, len(missing))
    assert rank(missing).closest == rank(shuffled).closest == cheapest(shuffled)
    assert sentence(missing) == sentence(shuffled)


def test_nobody_comes_close_where_no_request_is_served() -> None:
    found = [Contender("a", False, 1.0), Contender("b", False, 9.0)]
    assert sentence(found) == "No topology meets the SLO, for any request."


def test_nobody_meets() -> None:
    found = [Contender("a", False, 1.0, attainment=0.5), Contender("b", False, 9.0, attainment=0.9)]
    assert cheapest(found) == "b"
    assert sentence(found) == "No topology meets the SLO; b comes closest with 90.0% of the requests."
    assert math.isnan(Contender("x", False, math.nan).usd_per_month)


def test_where_nobody_meets_to_the_end_the_one_that_lasts_longest_comes_closest() -> None:
    early = Contender("early", False, 1.0, attainment=1.0, lasts_until=3)
    late = Contender("late", False, 9.0, attainment=0.995, lasts_until=13)
    never = Contender("never", False, 0.5, attainment=1.0)
    assert cheapest([early, late, never]) == "late"
    assert sentence([early, late, never]).startswith("No topology meets the SLO in every month; late lasts longest, ")


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_equal_bills_but_for_rounding_share_the_place(names: tuple[str, str]) -> None:
    found = [Contender(names[0], True, 0.1 + 0.2), Contender(names[1], True, 0.3)]
    assert set(rank(found).winners) == {"a", "b"}


def test_bills_that_few_replications_do_not_tell_apart_are_not_called_the_same() -> None:
    """8,000 against 22,000 ± 12.7 · 2,000: nobody knows which is lower; the one between them is known to be dearer."""
    cheap = Contender("cheap", True, 8_000.0, (7_900.0, 8_100.0))
    unsure = Contender("unsure", True, 22_000.0, (20_000.0, 24_000.0))
    dear = Contender("dear", True, 20_000.0, (19_900.0, 20_100.0))
    near = Contender("near", True, 8_010.0, (7_800.0, 8_220.0))
    for listed in ([unsure, dear, cheap, near], [near, cheap, dear, unsure]):
        assert rank(listed).winners == ("cheap", "near", "unsure"), "the cheapest first, however they are listed"
        text = sentence(listed)
        assert "; near ($8,010 per month) costs the same within the noise of the replications; unsure ($22,000" in text
        assert "unsure ($22,000 per month) may cost as little: 2 replications do not tell (more run.rep" in text
        assert "next is dear at $20,000 (+150%)" in text
