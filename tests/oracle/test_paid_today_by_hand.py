"""What is paid today beside the verdict, by hand: one instance of $20 an hour, 730 hours a month, is $14,600."""

from __future__ import annotations

import pytest
from bill_cases import fixed, pool, rented
from priced_cases import costed

from simulator.decide.costed import Costed
from simulator.decide.months import walk
from simulator.decide.verdict import decide
from simulator.study.decision import Served, Sizes
from simulator.study.demand import Growth, Horizon, Load, MonthLoad
from simulator.study.terms import Terms
from simulator.study.usage import Usage

HOUR_S = 3600.0


def rent(usd_per_hour: float, name: str = "rent", growth: float = 0.0, most: float = 2.0) -> Costed:
    """An instance that meets the SLO up to twice the load."""
    usage = Usage(HOUR_S, (pool(gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S),), ())

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        met = load.level[0] <= most
        return Served(met, 1.0 if met else 0.5, "chat: p99 of TTFT 9.0 s, limit 2.0 s", (usage,))

    walked = walk(Horizon(36, (Growth(growth),)), trial, (1,))
    return costed(name, Terms(name, rented=(rented(usd=usd_per_hour),), months=36), walked)


@pytest.mark.parametrize(
    ("today_usd", "words"),
    [
        (29_200.0, "Today $29,200 a month is paid: rent costs $14,600 (50%) less."),
        (10_000.0, "Today $10,000 a month is paid: rent costs $4,600 (46%) more."),
        (1_000.0, "Today $1,000 a month is paid: rent costs $13,600 more (15 times as much)."),
        (14_650.0, "Today $14,650 a month is paid: rent costs as much."),
    ],
)
def test_the_cheapest_is_held_against_what_is_paid_today(today_usd: float, words: str) -> None:
    found = decide([rent(20.0), rent(90.0, "dear")], today_usd=today_usd).text
    assert words in found
    assert found.split(". ")[1].startswith("Today "), "beside the verdict, before its reasons"
    assert "Today" not in decide([rent(20.0), rent(90.0, "dear")]).text


def test_it_is_told_where_nothing_meets_the_slo() -> None:
    assert "Today $9,000 a month is paid." in decide([rent(20.0, growth=1.0)], today_usd=9000.0).text


def test_months_that_differ_are_a_mean() -> None:
    grows = decide([rent(20.0, growth=1.0, most=1e9)], today_usd=29_200.0).text
    assert "rent costs $14,600 (50%) less in the mean of its months." in grows
