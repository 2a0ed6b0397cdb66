"""Why topologies differ: reasons add up to the difference, and say what is behind it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.figures.differences import CostLine, Side, _quantity, decompose, differences_in_words
from simulator.money import amount, difference
from simulator.report.why import side_of, why_notes

METRICS = {"arrived": 9, "unsent_turns": 0, "statuses": {"completed": 9}, "reasons": {}}
AMOUNTS = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(0, 1e6), max_size=10)


def side(name: str, *lines: CostLine, **others: dict[str, float]) -> Side:
    return Side(name, lines, others.get("launches", {}), others.get("seconds", {}), others.get("lost", {}))


def gpu(part: str, hours: float, usd: float, category: str = "on demand") -> CostLine:
    return CostLine("rented", category, part, hours, "GPU-hours", usd)


@settings(deadline=None)
@given(AMOUNTS, AMOUNTS)
def test_reasons_add_up_to_the_difference_and_their_shares_to_one(
    one: dict[str, float], other: dict[str, float]
) -> None:
    more, less = decompose(one, other)
    whole = math.fsum(one.values()) - math.fsum(other.values())
    told = math.fsum(r.amount for r in more) - math.fsum(r.amount for r in less)
    assert told == pytest.approx(whole, rel=1e-9, abs=1e-6)
    for reasons in (more, less):
        assert not reasons or math.fsum(r.share for r in reasons) == pytest.approx(1.0)
        assert all(r.amount > 0 for r in reasons)
        assert len(reasons) <= 5
    assert decompose(other, one) == (less, more)


def test_cold_starts_are_told_with_the_launches_behind_them() -> None:
    dear = side("cloud", gpu("busy", 1000, 4000), gpu("starting", 1550, 6200), launches={"rented": 11.04})
    cheap = side("fixed", gpu("busy", 50, 200))
    (found,) = differences_in_words(dear, cheap)
    assert (found.topology, found.than, found.figure, found.amount) == ("cloud", "fixed", "usd_per_month", 10_000)
    assert found.text == (
        "cloud costs $10,000 a month more than fixed: 62% cold starts (rented launches 11 replicas an hour), 38% GPU "
        "time on demand (1,000 GPU-hours instead of 50)."
    )


def test_the_same_hours_at_another_price_are_told_by_the_price() -> None:
    (found,) = differences_in_words(side("a", gpu("busy", 100, 400)), side("b", gpu("busy", 100, 300)))
    assert found.text == (
        "a costs $100 a month more than b: all of it GPU time on demand (at $4.00 instead of $3.00 each)."
    )


def test_tokens_are_told_in_large_units_and_by_their_price_from_the_side_that_is_told_of() -> None:
    def calls(tokens: float, usd_per_million: float) -> CostLine:
        return CostLine("api", "tokens", "input", tokens, "tokens", tokens * usd_per_million / 1e6)

    found = [
        differences_in_words(side("mini", calls(1.5768e9, 0.15)), side("large", calls(2.9509e9, 2.5)))[0].text,
        differences_in_words(side("a", calls(4e6, 1.0)), side("b", calls(1e6, 1.0)))[0].text,
        differences_in_words(side("a", calls(9e5, 1.0)), side("b", calls(3e5, 1.0)))[0].text,
    ]
    assert "all of it input tokens (1.58 bn tokens instead of 2.95 bn, at $0.15 instead of $2.50 per 1M)" in found[0]
    assert "all of it input tokens (4.00M tokens instead of 1.00M)" in found[1]
    assert "all of it input tokens (900,000 tokens instead of 300,000)" in found[2]


def test_a_single_reason_that_is_left_is_told_by_its_name() -> None:
    (time,) = differences_in_words(side("a", seconds={"decode": 100.0, "queue": 0.9}), side("b"))
    assert [reason.words for reason in time.more] == ["decode", "queue"]


def test_points_of_lost_requests_are_those_of_the_shares_as_shown() -> None:
    """0.4464 % and 0.0848 % are shown as 0.45 and 0.08, which are 0.37 apart; 0.36 would be nearer to the truth."""
    one = side("one", lost={"failed": 0.004464, "rejected": 0.0})
    other = side("other", lost={"failed": 0.0, "rejected": 0.000848})
    (lost,) = differences_in_words(one, other)
    assert lost.text == (
        "one loses 0.45% of its requests, other 0.08%: 0.45 points more (all of it failed) and 0.08 points fewer (all "
        "of it rejected)."
    )


def test_what_nobody_used_is_one_reason_whatever_it_is_made_of() -> None:
    own = side(
        "own",
        gpu("busy", 10, 120, "hardware"),
        gpu("spare", 10, 60, "hardware"),
        gpu("spare", 10, 40, "maintenance"),
    )
    api = side("api", CostLine("p", "tokens", "input", 5e6, "tokens", 170.0))
    (found,) = differences_in_words(own, api)
    assert [(reason.words, reason.share) for reason in found.more] == [
        ("hardware of busy GPUs", 120 / 220),
        ("GPUs that stand by as spares", 100 / 220),
    ]
    assert [reason.words for reason in found.less] == ["input tokens"]
    assert found.text.startswith("own costs $50 a month more than api")


def test_equal_topologies_have_no_difference_and_equal_bills_of_other_things_are_told() -> None:
    one = side("a", gpu("busy", 10, 100))
    assert differences_in_words(one, side("b", gpu("busy", 10, 100))) == ()
    (found,) = differences_in_words(one, side("c", gpu("busy", 10, 100, "hardware")))
    assert found.text.startswith("a costs the same as c")


def test_what_is_less_than_shows_has_no_reasons() -> None:
    """Two cents of tokens beside $36,030: "costs the same: 71% input tokens" said why of nothing."""
    own = side("own", gpu("busy", 10, 36_030, "hardware"), seconds={"decode": 2.0})
    tokens = [CostLine("p", "tokens", part, 1e3, "tokens", usd) for part, usd in (("input", 0.02), ("output", 0.01))]
    hybrid = side("hybrid", *own.lines, *tokens, seconds={"decode": 2.0002})
    cost, time = differences_in_words(hybrid, own)
    assert cost.text == "hybrid costs the same as own."
    assert time.text == "The mean answer of hybrid takes as long as that of own."
    back = differences_in_words(own, hybrid)
    assert [each.text.endswith(" hybrid.") for each in back] == [True, True]
    assert "40 ms longer" in differences_in_words(side("a", seconds={"x": 0.04}), side("b"))[0].text


def test_time_and_losses_are_told_by_where_they_come_from() -> None:
    slow = side("slow", seconds={"queue": 3.0, "decode": 2.0}, lost={"rejected (rate limit)": 0.08, "failed": 0.02})
    fast = side("fast", seconds={"queue": 0.0, "decode": 1.0, "prefill": 0.5}, lost={"failed": 0.02})
    time, lost = differences_in_words(slow, fast)
    assert [(one.topology, one.than, one.figure) for one in (time, lost)] == [
        *(("slow", "fast", "e2e_s"), ("slow", "fast", "lost_share")),
    ]
    assert (time.amount, lost.amount) == (pytest.approx(3.5), pytest.approx(0.08))
    assert time.text == (
        "The mean answer of slow takes 3.5 s longer than that of fast: 4 s more (75% queue, 25% decode) and 500 ms "
        "less (all of it prefill)."
    )
    assert lost.text == "slow loses 10.00% of its requests, fast 2.00%: all of it rejected (rate limit)."


def test_a_reason_that_rounds_to_the_whole_is_all_of_it() -> None:
    slow = side("slow", seconds={"decode": 100.0, "queue": 0.3})
    (time,) = differences_in_words(slow, side("fast"))
    assert time.text == "The mean answer of slow takes 100 s longer than that of fast: all of it decode."


def test_lost_requests_are_told_by_status_and_reason() -> None:
    metrics = {
        "arrived": 90,
        "unsent_turns": 10,
        "breakdown_s": {"queue": 1.0},
        "statuses": {"completed": 80, "rejected": 7, "timed_out": 3},
        "reasons": {"rejected": {"too_long": 5}},
    }
    found = side_of("a", {"metrics": metrics, "pools": [{"name": "p", "launches_per_hour": 2.0}]}, ())
    assert found.lost_share == {
        "rejected (too long)": 0.05,
        "rejected": 0.02,
        "timed out": 0.03,
        "turns that a broken session no longer sent": 0.1,
    }
    assert found.launches_per_hour == {"p": 2.0}


def test_a_difference_is_that_of_the_bills_as_they_are_shown() -> None:
    """$58,017.60 and $46,603.40 are shown as 58,018 and 46,603, which are 11,415 apart, and so are 12,014 and 599."""
    dear = side("dear", gpu("busy", 10, 57_617.6), CostLine("s", "staff", "base", 1, "FTE", 400.0))
    cheap = side("cheap", gpu("busy", 10, 45_604.4), CostLine("s", "staff", "base", 2, "FTE", 999.0))
    (found,) = differences_in_words(dear, cheap)
    assert found.amount == pytest.approx(11_414.2)
    assert found.text.startswith("dear costs $11,415 a month more than cheap: it pays $12,014 more (all of it")
    assert "and $599 less (all of it staff" in found.text
    (found,) = differences_in_words(cheap, dear)
    assert found.text.startswith("cheap costs $11,415 a month less than dear: it pays $599 more (all of it")
    assert "and $12,014 less (all of it" in found.text


AMOUNT = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (132.0, 125.4, "$7"),
        (25_292.3, 25_263.1, "$29"),
        (101.2, 99.6, "$1"),
        (55.04, 48.2, "$6.84"),
        (0.5, 0.25, "$0.25"),
    ],
)
def test_a_difference_is_told_as_finely_as_both_amounts(one: float, other: float, words: str) -> None:
    assert difference(one, other) == difference(other, one) == words


@given(AMOUNT, AMOUNT)
def test_who_subtracts_what_is_shown_finds_what_is_shown(one: float, other: float) -> None:
    def read(text: str) -> float:
        return float(text.replace(",", ""))

    found = read(difference(one, other).removeprefix("$"))
    assert found == pytest.approx(abs(read(amount(one)) - read(amount(other))), abs=0.5, rel=0.01)
    if min(one, other) >= 100:
        assert found == abs(read(amount(one)) - read(amount(other)))


def tokens(count: float, usd: float) -> CostLine:
    return CostLine("api", "tokens", "input", count, "tokens", usd)


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        (tokens(5e6, 10.0), tokens(5e6, 5.0), "at $2.00 instead of $1.00 per 1M"),
        (tokens(5e6, 5.04), tokens(5e6, 5.0), ""),
        (tokens(5e6, 10.0), tokens(5e6, 0.0), ""),
        (tokens(5e6, 0.0), tokens(5e6, 5.0), ""),
        (tokens(0.0, 0.0), tokens(5e6, 5.0), ""),
        (tokens(5e6, 10.0), gpu("busy", 10, 5.0), ""),
        (gpu("busy", 20, 40.0), gpu("busy", 10, 20.0), "20 GPU-hours instead of 10"),
        (CostLine("s", "staff", "base", 2, "FTE", 800.0), CostLine("s", "staff", "base", 2, "FTE", 400.0), ""),
    ],
)
def test_quantities_and_prices_are_told_where_both_sides_have_them(mine: CostLine, theirs: CostLine, told: str) -> None:
    """What is free has no price to be compared with."""
    assert _quantity([mine], [theirs]) == told


def test_of_topologies_that_are_alike_the_reasons_are_told_once() -> None:
    base = side("base", gpu("busy", 100, 300))
    found = {
        "base": base,
        "dear": side("dear", gpu("busy", 100, 400)),
        "other": side("other", gpu("busy", 200, 600)),
        "copy": side("copy", gpu("busy", 100, 400)),
        "twin": side("twin", gpu("busy", 100, 300)),
    }
    assert why_notes(found, "base") == [
        "dear costs $100 a month more than base: all of it GPU time on demand (at $4.00 instead of $3.00 each).",
        "other costs $300 a month more than base: all of it GPU time on demand (200 GPU-hours instead of 100).",
        "copy differs from base as dear does.",
    ]


def test_a_nearer_site_is_not_told_as_a_faster_prefill() -> None:
    """Two fleets alike, one of them 9 ms nearer each way: the time to the first token has the network in it."""
    near, far = (
        side_of(name, {"metrics": METRICS | {"breakdown_s": {"prefill": s, "decode": 1.0}}, "pools": []}, ())
        for name, s in (("near", 0.052), ("far", 0.07))
    )
    (told,) = (one.text for one in differences_in_words(near, far) if one.figure == "e2e_s")
    assert told == "The mean answer of near takes 18 ms less than that of far: all of it prefill and network."
