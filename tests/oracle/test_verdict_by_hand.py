"""The verdict word by word, for topologies whose bills and misses are made up: who, by how much, why not the others."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.decide.rivals import rank
from simulator.decide.why import bindings, flip_words, flips_sentence, sentence, sure_words
from simulator.study.bill import Line
from simulator.study.decision import NOT_FINISHED, ONE_REPLICATION, Binding, Contender, Flip

DEAR, CHEAP, MIDDLE = (
    Contender(name, True, usd) for name, usd in (("dear", 3000.0), ("cheap", 1000.0), ("mid", 2000.0))
)
LATE, LATER = (Contender(name, False, 1.0, attainment=share) for name, share in (("late", 0.9), ("later", 0.8)))


@pytest.mark.parametrize(
    ("contenders", "said"),
    [
        (
            (DEAR, CHEAP),
            "cheap: the cheapest topology that meets the SLO, $1,000 per month; next is dear at $3,000 (+200%).",
        ),
        (
            (DEAR, CHEAP, MIDDLE),
            "cheap: the cheapest topology that meets the SLO, $1,000 per month; next is mid at $2,000 (+100%).",
        ),
        ((CHEAP,), "cheap: the cheapest topology that meets the SLO, $1,000 per month."),
        (
            (LATE, CHEAP, LATER),
            "cheap: the cheapest topology that meets the SLO, $1,000 per month; late, later miss the SLO.",
        ),
        ((CHEAP, LATE), "cheap: the cheapest topology that meets the SLO, $1,000 per month; late misses the SLO."),
        (
            (CHEAP, Contender("open", False, 1.0, least_usd=1500.0)),
            "cheap: the cheapest topology that meets the SLO, $1,000 per month; of open no size was found as far as "
            "was searched.",
        ),
        (
            (CHEAP, Contender("open", True, 1200.0, least_usd=900.0), LATE),
            "No verdict: cheap meets the SLO for $1,000 per month, but sizes that would cost less are not excluded "
            "(open from $900); next is open at $1,200 (+20%); late misses the SLO.",
        ),
        (
            (CHEAP, Contender("twin", True, 1000.0), Contender("third", True, 1000.0)),
            "cheap: the cheapest topology that meets the SLO, $1,000 per month; twin ($1,000 per month), third "
            "($1,000 per month) cost the same.",
        ),
        (
            (Contender("a", True, 1000.0, fleet="f"), Contender("b", True, 1000.0, fleet="f"), DEAR),
            "a: the cheapest topology that meets the SLO, $1,000 per month; next is dear at $3,000 (+200%); "
            "b is the same fleet as a.",
        ),
        (
            (Contender("free", True, 0.0), CHEAP),
            "free: the cheapest topology that meets the SLO, $0 per month; next is cheap at $1,000.",
        ),
        ((), "Nothing to compare."),
        ((LATER, LATE), "No topology meets the SLO; late comes closest with 90.0% of the requests."),
        (
            (LATER, replace(LATE, over_periods=True)),
            "No topology meets the SLO; late comes closest with 90.0% of the requests, as a mean over the hours of all "
            "periods.",
        ),
        (
            (replace(LATE, attainment=1.0, missed="chat: the queue grows: 12.0% of what comes still waits"), LATER),
            "No topology meets the SLO; late comes closest with all of the requests within their limits, but chat: the "
            "queue grows: 12.0% of what comes still waits.",
        ),
        (
            (replace(LATE, attainment=0.99962, missed="chat: ttft p100 ≤ 1 s"), LATER),
            "No topology meets the SLO; late comes closest with 99.96% of the requests; chat: ttft p100 ≤ 1 s.",
        ),
        (
            (LATER, replace(LATE, name="alike", usd_per_month=1.0), LATE),
            "No topology meets the SLO; alike and late come closest with 90.0% of the requests.",
        ),
        ((Contender("none", False, 1.0),), "No topology meets the SLO, for any request."),
        (
            (LATE, Contender("lasts", False, 9.0, lasts_until=4), Contender("less", False, 1.0, lasts_until=3)),
            "No topology meets the SLO in every month; lasts lasts longest, until month 4.",
        ),
        (
            (
                Contender("rent", False, 9.0, (), 0.9, lasts_until=4),
                Contender("own", False, 8.0, (), 0.8, lasts_until=4),
            ),
            "No topology meets the SLO in every month; rent and own last longest, until month 4.",
        ),
        (
            (LATE, Contender("open", False, 1.0, least_usd=5.0)),
            "No topology meets the SLO; late comes closest with 90.0% of the requests; the search of open was not "
            "finished.",
        ),
    ],
)
def test_the_verdict_says(contenders: tuple[Contender, ...], said: str) -> None:
    assert sentence(contenders) == said


OPEN = Contender("open", True, 3000.0, least_usd=900.0)
"""Its search was not finished, and may have less dear sizes than the cheapest that was found."""


@pytest.mark.parametrize(
    ("contenders", "share", "said"),
    [
        ((DEAR, CHEAP), 0.876, "cheapest of these in 88% of 1,000 draws"),
        ((CHEAP,), 0.876, ""),
        ((DEAR, CHEAP), math.nan, ""),
        ((CHEAP, Contender("twin", True, 1000.0)), 0.9, ""),
        ((CHEAP, Contender("twin", True, 1000.0), DEAR), 0.9, "cheap and twin together cheapest in 90% of 1,000 draws"),
        (
            (Contender("a", True, 1000.0, fleet="f"), Contender("b", True, 1000.0, fleet="f"), DEAR),
            0.9,
            "a and b (the same fleet) together cheapest in 90% of 1,000 draws",
        ),
        ((OPEN, CHEAP), 1.0, "cheapest of the sizes that were found in 100% of 1,000 draws"),
        (
            (CHEAP, Contender("twin", True, 1000.0), OPEN),
            1.0,
            "cheap and twin together cheapest of the sizes that were found in 100% of 1,000 draws",
        ),
    ],
)
def test_how_surely_is_said(contenders: tuple[Contender, ...], share: float, said: str) -> None:
    assert sure_words(rank(contenders), share, 1000) == said


def test_how_surely_stands_after_the_margin() -> None:
    assert sentence([DEAR, CHEAP, LATE], "sure").endswith("next is dear at $3,000 (+200%); sure; late misses the SLO.")


@pytest.mark.parametrize(
    ("usd", "forecast", "told"),
    [
        (25_263.0, (True, False), False),
        (25_263.0, (False, True), False),
        (25_263.0, (False, False), True),
        (25_275.2, (True, True), False),
        (25_275.3, (True, True), True),
    ],
)
def test_a_thousandth_of_a_bill_is_told_from_nothing_where_sizes_are_forecast(
    usd: float, forecast: tuple[bool, bool], told: bool
) -> None:
    """$13 of $25,263 are no reason to sign, however many draws of prices agree; of two price lists they are."""
    first, second = (
        Contender(name, True, one, forecast=f) for name, one, f in zip("ab", (25_250.0, usd), forecast, strict=True)
    )
    said = sentence([second, first], "cheapest of these in 100% of 2,000 draws")
    assert said.startswith(
        f"a: the cheapest topology that meets the SLO, $25,250 per month; next is b at ${usd:,.0f} (+0."
    )
    assert ("far less than the error of any forecast or estimate behind the two." in said) == (not told)
    assert ("draws" in said) == told


def flip(assumption: str, factor: float | None, winner: str = "b", **given: Any) -> Flip:
    return Flip(assumption, factor, winner, (0.1, 10.0), **given)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (flip("load", 2.0), "load at × 2.00: b"),
        (flip("load", 2.0, sure=False), "load at about × 2.00: b"),
        (flip("term", 2.0, words="24 months"), "term at 24 months: b"),
        (flip("price of tokens of x", 2.0, alone=True), "price of tokens of x alone at × 2.00: b"),
        (flip("rent", 2.0, clear=2.3), "rent at × 2.00 (beyond chance from × 2.30): b"),
        (flip("rent", 2.0, clear=2.004), "rent at × 2.00: b"),
        (flip("rent", 2.0, clear=0.0), "rent at × 2.00 (within chance as far as × 10): b"),
        (flip("rent", 0.5, clear=0.0), "rent at × 0.50 (within chance as far as × 0.1): b"),
        (flip("load", 2.0, untold=ONE_REPLICATION), f"load at × 2.00 ({ONE_REPLICATION}): b"),
        (flip("load", 2.0, clear=2.3, untold=""), "load at × 2.00 (beyond chance from × 2.30): b"),
        (flip("load", None), "load: no other winner from × 0.1 to × 10"),
        (flip("load", None, words="time was up"), "load: not searched, as time was up"),
    ],
)
def test_a_flip_says(one: Flip, said: str) -> None:
    assert flip_words(one) == said


def test_the_three_nearest_flips_are_said_nearest_first_on_either_side() -> None:
    flips = [flip("far", 9.0), flip("half", 0.5), flip("none", None), flip("near", 0.8), flip("more", 1.5)]
    alone = rank((CHEAP, DEAR))
    said = "What would flip it: near at × 0.80: b; more at × 1.50: b; half at × 0.50: b"
    assert flips_sentence(flips, alone) == f"{said}."
    cut_off = [flip("volume", None, words="time ended"), flip("growth", None, words="time ended")]
    assert flips_sentence([*flips, *cut_off], alone) == f"{said}. Not searched, as time ended: volume, growth."
    assert flips_sentence(cut_off, alone) == "Not searched, as time ended: volume, growth."
    contracts = [flip("spot", 1.1, alone=True), flip("same", 0.802, alone=True), flip("other", 0.8, "c", alone=True)]
    assert flips_sentence([*contracts, *flips], alone) == f"{said}; spot alone at × 1.10: b; other alone at × 0.80: c."
    assert flips_sentence(contracts[:1], alone) == (
        "No price within a factor of ten, moved for all alike, changes the winner. "
        "What would flip it: spot alone at × 1.10: b."
    )


def test_what_flips_a_verdict_that_is_withheld_flips_the_order_of_what_was_found() -> None:
    said = flips_sentence([flip("rent", 0.8)], rank((CHEAP, OPEN)))
    assert said == "What would flip the order of the sizes that were found: rent at × 0.80: b."


@pytest.mark.parametrize(
    ("contenders", "change"),
    [
        ((CHEAP, DEAR), "changes the winner"),
        ((CHEAP, Contender("level", True, 1000.0), DEAR), "makes any but cheap and level the cheapest"),
        ((Contender("a", True, 1.0, fleet="f"), Contender("b", True, 1.0, fleet="f"), DEAR), "changes the winner"),
        ((CHEAP, OPEN), "changes who is cheapest of the sizes that were found"),
    ],
)
def test_no_flip_is_said_of_all_whose_bills_are_equal(contenders: tuple[Contender, ...], change: str) -> None:
    none = f"No price within a factor of ten, moved for all alike, {change}."
    assert flips_sentence([flip("none", None)], rank(contenders)) == none
    assert flips_sentence([], rank(contenders)) == ""


def costed(name: str, bill: dict[str, float], months: tuple[bool, ...] = (True,), **given: Any) -> Any:
    """A topology with these lines, whose months meet the SLO or miss it."""
    lines = [
        Line(owner=name, kind="pool", category=what, part="", quantity=1.0, unit="", usd=np.array([usd - 1, usd + 1]))
        for what, usd in bill.items()
    ]
    levels = given.get("levels", ((1.0,),) * len(months))
    walked = [
        SimpleNamespace(
            month=k + 1, meets=meets, level=levels[k], binding=given.get("binding", f"p95 of month {k + 1}")
        )
        for k, meets in enumerate(months)
    ]
    lasts = months.index(False) if False in months else None
    return SimpleNamespace(
        name=name,
        meets=all(months),
        walked=walked,
        lasts_until=lasts,
        unmeasured=(),
        bill=SimpleNamespace(lines=lines),
        usd_per_month=math.fsum(bill.values()),
        contender=Contender(name, all(months), math.fsum(bill.values()), lasts_until=lasts or 0),
    )


WINNER = costed("own", {"hardware": 600.0, "electricity": 300.0, "staff": 100.0})
GROWS = {"levels": ((1.0,), (2.0,), (3.0,))}


@pytest.mark.parametrize(
    ("one", "kind", "what", "said"),
    [
        (
            costed("rent", {"on demand": 900.0, "staff": 500.0}),
            "cost",
            "on demand",
            "rent costs $400 a month more than own; its largest excess is on demand, $900 of $1,400",
        ),
        (
            costed("odd", {"on demand": 900.4, "staff": 500.2}),
            "cost",
            "on demand",
            "odd costs $401 a month more than own; its largest excess is on demand, $900 of $1,401",
        ),
        (
            costed("lent", {"hardware": 1100.0, "staff": 700.0}),
            "cost",
            "staff",
            "lent costs $800 a month more than own; its largest excess is staff, $700 of $1,800",
        ),
        (costed("late", {}, (False,)), "slo", "p95 of month 1", "late: p95 of month 1"),
        (
            costed("late", {}, (True, True, False), **GROWS),
            "slo",
            "p95 of month 3",
            "late meets the SLO until month 2; in month 3 p95 of month 3",
        ),
        (
            costed("late", {}, (False, True, True), **GROWS),
            "slo",
            "p95 of month 1",
            "late misses the SLO in month 1: p95 of month 1",
        ),
        (
            costed("late", {}, (False,) * 3, **GROWS),
            "slo",
            "p95 of month 1",
            "late misses the SLO from month 1 on: p95 of month 1",
        ),
        (costed("open", {}, (False,), binding=NOT_FINISHED), "search", NOT_FINISHED, f"open: {NOT_FINISHED}"),
        (
            costed("open", {}, (True, False, False), binding=NOT_FINISHED, **GROWS),
            "search",
            NOT_FINISHED,
            f"open in month 2: {NOT_FINISHED}",
        ),
    ],
)
def test_why_it_is_not_the_winner(one: Any, kind: str, what: str, said: str) -> None:
    found = [one, WINNER]
    assert bindings(found, rank([each.contender for each in found])) == (Binding(one.name, kind, what, said),)


def test_where_none_wins_each_has_its_reason() -> None:
    found = [costed("a", {}, (False,)), costed("b", {}, (False,))]
    told = bindings(found, rank([each.contender for each in found]))
    assert [(one.topology, one.kind) for one in told] == [("a", "slo"), ("b", "slo")]


def test_bills_for_other_work_are_said_to_be_so() -> None:
    """Ten users of a slow API ask less, so that its bill is small: of those that meet the SLO, where it is known."""
    slow, quick = replace(CHEAP, arrived=60), replace(DEAR, arrived=4_000)
    alike = sentence([replace(slow, arrived=3_961), quick])
    assert sentence([slow, quick]) == (
        alike
        + " These bills are not for the same work: 60 to 4,000 requests came, as sessions and waiting users go on "
        "when they are answered; compare $ per 1M tokens."
    )
    assert alike == sentence([CHEAP, DEAR]) == sentence([CHEAP, quick])
    few, near = replace(slow, arrived=3_900), replace(quick, usd_per_month=1_020.0)
    assert sentence([few, quick]) == alike, "2.6 % more requests do not make up for three times the bill"
    assert "3,900 to 4,000 requests" in sentence([few, near]), "but for one that is 2 % higher"
    assert "same work" not in sentence([replace(slow, arrived=3_961), near]), "1 % is the same traffic"
    assert "same work" not in sentence([slow, replace(LATE, arrived=4_000)]), "who misses the SLO is no rival"
