"""Prices by the volume of a month and tokens that are free, by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from agreement import agree
from bill_cases import API, month, provider

from simulator.bill.savings import savings_usd
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.decide.break_even import against, volume
from simulator.decide.costed import Costed
from simulator.study.bill import Bill, MonthUse, PeriodUse
from simulator.study.contract import Volume, VolumeStep
from simulator.study.terms import ApiTerms, Terms, TokenPrices
from simulator.study.usage import Usage

HOUR = 3600.0
STEPS = (VolumeStep(100e6, 0.8), VolumeStep(500e6, 0.5))
PLAIN = replace(API, prices=(TokenPrices(0, 0.15, 0.15, 0.15, 0.6),))


def calls(prompts: float = 1e6, cached: float = 0, answers: float = 0, failed: float = 0) -> Usage:
    """An hour of so many tokens, 730 times as many a month."""
    return Usage(HOUR, (), (provider([[[prompts, cached, 0, answers]]], failed=[[[failed, 0, 0, 0]]]),), ())


def bill(api: ApiTerms, uses: list[MonthUse], months: float | None = None) -> Bill:
    terms = Terms("api", apis=(api,), months=float(len(uses)) if months is None else months)
    agree(terms, uses)
    return bill_study(terms, uses)


def usd(api: ApiTerms, *months: MonthUse) -> float:
    return float(total_usd(bill(api, list(months)).lines))


@pytest.mark.parametrize(
    ("for_all", "free", "dollars"),
    [
        (False, 0.0, 100 * 0.15 + 400 * 0.12 + 230 * 0.075),
        (True, 0.0, 730 * 0.075),
        (False, 30e6, 70 * 0.15 + 400 * 0.12 + 230 * 0.075),
        (True, 30e6, 700 * 0.075),
        (False, 200e6, 300 * 0.12 + 230 * 0.075),
        (False, 900e6, 0.0),
        (True, 900e6, 0.0),
    ],
)
def test_the_tokens_of_a_month_fill_the_steps_from_the_first_on(for_all: bool, free: float, dollars: float) -> None:
    """730 million at $0.15: a fifth less above 100 million, half above 500 million."""
    assert usd(replace(PLAIN, volume=Volume(STEPS, for_all, free)), month(calls())) == pytest.approx(dollars)


@pytest.mark.parametrize(("hourly", "dollars"), [(1e6, 730 * 0.15), (1.001e6, 730.73 * 0.12)])
def test_a_step_is_reached_by_more_tokens_than_it_says(hourly: float, dollars: float) -> None:
    api = replace(PLAIN, volume=Volume((VolumeStep(730e6, 0.8),), True))
    assert usd(api, month(calls(hourly))) == pytest.approx(dollars)


def test_tokens_of_all_kinds_fill_them_together_in_the_mix_of_the_month() -> None:
    """365 million of each: of 730 million a half is beyond the step, so each kind costs three quarters."""
    api = replace(PLAIN, volume=Volume((VolumeStep(365e6, 0.5),)))
    found = bill(api, [month(calls(5e5, answers=5e5))])
    assert {line.part: float(line.usd) for line in found.lines} == pytest.approx(
        {"input": 365 * 0.15 * 0.75, "output": 365 * 0.6 * 0.75}
    )


@pytest.mark.parametrize(("billed", "dollars"), [(False, 365 * 0.15), (True, 730 * 0.15 * 0.75)])
def test_calls_that_fail_count_where_they_are_paid_for(billed: bool, dollars: float) -> None:
    api = replace(PLAIN, volume=Volume((VolumeStep(365e6, 0.5),)), bills_failed=billed)
    assert usd(api, month(calls(5e5, failed=5e5))) == pytest.approx(dollars)


@pytest.mark.parametrize("for_all", [False, True])
def test_a_peak_is_no_month_of_its_own(for_all: bool) -> None:
    """73 hours with ten times the calls and 657 without any are the month of even calls; so are two replications."""
    api = replace(PLAIN, volume=Volume(STEPS, for_all, 30e6))
    even = usd(api, month(calls()))
    uneven = MonthUse((PeriodUse(calls(1e7), 73.0), PeriodUse(calls(0), 657.0)))
    assert usd(api, uneven) == pytest.approx(even)
    assert usd(api, month(calls(5e5), calls(15e5))) == pytest.approx(even)


def test_each_month_fills_them_anew_and_half_of_one_costs_half() -> None:
    """Months of 730 million and 73 million, and half of one like the first, are 80.25 + 10.95 + 40.125 dollars."""
    api = replace(PLAIN, volume=Volume(STEPS))
    many, few_tokens = month(calls()), month(calls(1e5))
    found = bill(api, [many, few_tokens, many], months=2.5)
    assert [float(total_usd(one.lines)) for one in found.months] == pytest.approx([80.25, 10.95, 80.25])
    assert float(found.paid_usd.sum()) == pytest.approx(80.25 + 10.95 + 40.125)


def test_prompt_caching_saves_at_the_prices_of_the_month() -> None:
    """365 million cached ones at $0.05 instead of $0.15, a half of all beyond a step at half: 36.5 · 0.75 dollars."""
    prices = (TokenPrices(0, 0.15, 0.05, 0.15, 0.6),)
    api = replace(API, prices=prices, volume=Volume((VolumeStep(365e6, 0.5),)))
    terms, months = Terms("api", apis=(api,), months=1.0), [month(calls(5e5, 5e5))]
    found = savings_usd(terms, months, bill_study(terms, months), {})
    assert found.prefix_caching == pytest.approx({"api": 36.5 * 0.75})


def costed(name: str, api: ApiTerms) -> Costed:
    terms = Terms(name, apis=(api,), months=1.0)
    return Costed(name, terms, (), (month(calls()),), bill_study(terms, [month(calls())]), ())


@pytest.mark.parametrize(("fee", "tokens"), [(63.0, 500e6), (39.0, 300e6), (7.5, 50e6), (200.0, 2_326.667e6)])
def test_break_even_by_volume_goes_over_the_bill_of_each_volume(fee: float, tokens: float) -> None:
    """A flat fee costs less above as many tokens as cost it: 63 dollars are 100 at 0.15 and 400 at 0.12."""
    steps = replace(PLAIN, volume=Volume(STEPS))
    flat = replace(API, prices=(TokenPrices(0, 0.0, 0.0, 0.0, 0.0),), fixed_usd_per_month=fee)

    def at(api: ApiTerms, factor: float) -> float:
        use = month(calls(round(factor * 1e6)))
        return float(total_usd(bill_study(Terms("api", apis=(api,), months=1.0), [use]).lines))

    crossing = volume(partial(at, flat), partial(at, steps))
    assert crossing.side == "above"
    assert crossing.factor == pytest.approx(tokens / 730e6, rel=1e-3)


def test_hours_of_use_are_not_asked_of_prices_by_volume() -> None:
    found = against(costed("steps", replace(PLAIN, volume=Volume(STEPS))), costed("plain", PLAIN))
    assert (found.hours_per_day, found.hours_below) == (None, None)
