"""Cells of the comparison table that rest on more than one figure."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.figures.table import NONE
from simulator.report.table import _binding, _cheapest, _met, binding_words, missed_words


@pytest.mark.parametrize(
    ("met", "lasts_until", "words"),
    [
        (True, None, "yes"),
        (True, 13, "until month 13"),
        (True, 0, "no"),
        (False, None, "no"),
        (None, None, "not known"),
    ],
)
def test_the_slo_is_met_as_long_as_the_fleet_lasts(met: bool | None, lasts_until: int | None, words: str) -> None:
    assert _met({"metrics": {"slo_met": met}, "lasts_until": lasts_until}) == words


def test_who_misses_the_slo_is_cheapest_in_no_draw() -> None:
    drawn: dict[str, Any] = {"probability_cheapest": 1.0, "probability_cheapest_meeting_slo": None}
    assert _cheapest({"uncertainty": drawn}) == NONE
    assert _cheapest({"uncertainty": drawn | {"probability_cheapest_meeting_slo": 0.25}}) == "25% of draws"


def test_the_binding_term_says_how_much_of_what_is_allowed_is_used() -> None:
    row = {"class": "chat", "term": "ttft p99 ≤ 1 s", "allowance_used": 0.5}
    summary = {"metrics": {"binding_term": row}}
    assert binding_words(summary) == "chat: ttft p99 ≤ 1 s (50% of the misses allowed)"
    assert _binding(summary) == "chat: ttft p99 (50%)"


@pytest.mark.parametrize(
    ("used", "words", "short"),
    [
        (0.0, "no request misses it", "0%"),
        (2.0, "200% of the misses allowed", "200%"),
        (100.0, "100 times the misses allowed", "100 times"),
        (None, "beyond the misses allowed", "beyond"),
    ],
)
def test_misses_beyond_the_double_of_what_is_allowed_are_told_in_times(
    used: float | None, words: str, short: str
) -> None:
    summary = {"metrics": {"binding_term": {"class": "chat", "term": "ttft p99 ≤ 1 s", "allowance_used": used}}}
    assert binding_words(summary) == f"chat: ttft p99 ≤ 1 s ({words})"
    assert _binding(summary) == f"chat: ttft p99 ({short})"


def test_a_term_that_is_missed_says_its_value_and_how_many_keep_it() -> None:
    late = {"metric": "ttft_s", "value": 1.82, "met": False, "share": 0.93893}
    assert missed_words(late) == "1.82 s, kept by 93.89% of the requests"
    assert missed_words({"metric": "served", "value": 0.97, "met": False, "share": 0.97}) == "97.00% of the requests"


def test_a_binding_term_of_the_served_is_short_too() -> None:
    row = {"class": "chat", "term": "served ≥ 99 %", "allowance_used": None}
    assert _binding({"metrics": {"binding_term": row}}) == "chat: served (beyond)"
