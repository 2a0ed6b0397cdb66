"""Token APIs: tokens by kind, band and class; use and terms that do not fit; unit prices; energy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import API, HOUR_S, PLACE, fixed, month, owned, pool, provider, rented, servers

from simulator.bill.energy import month_energy, per_million, study_energy
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.unit import unit_prices
from simulator.bill.unused import unused_share
from simulator.bill.use import month_use
from simulator.errors import InputError
from simulator.study.bill import MonthUse, PeriodUse, Tokens
from simulator.study.terms import Facility, Span, Terms, TierPrices, TokenPrices
from simulator.study.usage import Usage


def test_gpt_4o_mini_pays_for_cached_prompts_what_cached_prompts_cost() -> None:
    """2 requests/s of 2,512 tokens, of which 1,920 of 2,000 shared ones are cached: input is $1,254 a month."""
    requests = 5_387_000
    tokens = np.array([[[592, 1_920, 0, 0]]]) * requests
    usage = Usage(730 * HOUR_S, (), (provider(tokens),))
    without = replace(API, prices=(TokenPrices(0, 0.15, 0.15, 0.0, 0.6),))
    usd = [
        float(total_usd(bill_study(Terms("api", apis=(api,), months=1), [month(usage)]).lines))
        for api in (API, without)
    ]
    assert usd == pytest.approx([1_254.0, 2_030.0], abs=0.5)


def test_bands_classes_premium_and_failed_calls() -> None:
    tokens = [[[1_000_000, 0, 0, 0], [1_000_000, 0, 0, 0]], [[1_000_000, 0, 0, 1_000_000], [0, 0, 0, 0]]]
    failed = [[[500_000, 0, 0, 0], [0, 0, 0, 0]], [[0] * 4, [0] * 4]]
    api = replace(
        API,
        prices=(TokenPrices(0, 1.0, 0.1, 1.25, 4.0), TokenPrices(100, 2.0, 0.2, 2.5, 8.0)),
        tier_by_class=("", "batch"),
        tiers=(TierPrices("batch", (TokenPrices(0, 0.5, 0.1, 1.25, 2.0), TokenPrices(100, 1.0, 0.2, 2.5, 4.0))),),
        residency_premium=0.1,
    )
    usage = Usage(730 * HOUR_S, (), (provider(tokens, failed=failed),))

    def lines(terms: Terms) -> dict[tuple[str, str], float]:
        return {(line.category, line.part): float(line.usd) for line in bill_study(terms, [month(usage)]).lines}

    found = lines(Terms("api", apis=(api,), months=1))
    assert found == pytest.approx(
        {
            ("tokens", "input"): 3.0,
            ("batch tokens", "input"): 0.5,
            ("batch tokens", "output"): 2.0,
            ("residency", "premium"): 0.55,
        }
    )
    paid = lines(Terms("api", apis=(replace(api, bills_failed=True),), months=1))
    assert paid["failed calls", "tokens"] == pytest.approx(0.5)
    assert paid["residency", "premium"] == pytest.approx(0.6)


def test_what_is_paid_whatever_is_used() -> None:
    usage = Usage(HOUR_S, (), (provider(np.zeros((1, 1, 4))),))
    api = replace(API, fixed_usd_per_month=300.0, provisioned_units=15.0, usd_per_unit_hour=2.0)
    bill = bill_study(Terms("api", apis=(api,), months=2), [month(usage)] * 2)
    assert {line.category: line.usd for line in bill.lines} == pytest.approx(
        {"provisioned throughput": 15 * 730 * 2.0, "flat fee": 300.0}
    )


def test_units_that_let_through_more_than_was_asked_are_paid_but_unused() -> None:
    """15 units of 2,500 tokens a minute let 37,500 through; 9,000 came, a failed call's among them."""
    usage = Usage(HOUR_S, (), (provider([[[400_000, 0, 0, 130_000]]], failed=[[[10_000, 0, 0, 0]]]),))
    api = replace(API, provisioned_units=15.0, usd_per_unit_hour=2.0, unit_tokens_per_minute=2_500.0)
    free = (TokenPrices(0, 0.0, 0.0, 0.0, 0.0),)
    for units, unused in ((15.0, 1 - 9_000 / 37_500), (3.0, 0.0)):
        terms = Terms("api", apis=(replace(api, provisioned_units=units, prices=free),), months=1)
        lines = bill_study(terms, [month(usage)]).lines
        assert float(total_usd(lines)) == pytest.approx(units * 730 * 2.0), "their price stays"
        assert unused_share([(line.part, float(line.usd)) for line in lines]) == pytest.approx(unused)


def test_units_for_a_term_are_paid_to_its_end_and_what_an_event_adds_begins_a_term_of_its_own() -> None:
    """15 units for a year at a dollar an hour; from month 7 on 25 are wanted, at 80 cents; the study ends in month 19.

    15 · 730 · 12 from month 1; 10 · 730 · 12 · 0.8 from months 7 and 19; 15 · 730 · 12 · 0.8 from month 13. Of the last
    two 5.5 of 12 and 11.5 of 12 months are still to pay. 30,000 tokens a minute come where 15 · 4,000 are let through.
    """
    usage = Usage(HOUR_S, (), (provider([[[1_200_000, 0, 0, 600_000]]]),))
    free = (TokenPrices(0, 0.0, 0.0, 0.0, 0.0),)
    api = replace(API, prices=free, provisioned_units=15.0, usd_per_unit_hour=1.0, unit_tokens_per_minute=4_000.0)
    first = replace(api, unit_term_months=12, unit_upfront_share=0.25, span=Span(1, 6))
    then = replace(first, provisioned_units=25.0, usd_per_unit_hour=0.8, span=Span(7))
    bill = bill_study(Terms("api", apis=(first, then), months=18.5), [month(usage)] * 19)
    terms = {1: 15 * 8_760.0, 7: 10 * 8_760 * 0.8, 13: 15 * 8_760 * 0.8, 19: 10 * 8_760 * 0.8}
    assert float(total_usd(bill.lines)) * 18.5 == pytest.approx(sum(terms.values()))
    assert float(bill.paid_usd.sum()) == pytest.approx(sum(terms.values()))
    assert bill.months[-1].liability_usd == pytest.approx(0.75 * (terms[13] * 5.5 + terms[19] * 11.5) / 12)
    assert {at: usd for at, usd in zip(bill.at_months, bill.once_usd, strict=True) if usd} == pytest.approx(
        {start - 1.0: usd / 4 for start, usd in terms.items()}
    )
    early = {line.part: line.usd for line in bill.months[0].lines}
    assert early["units"] == pytest.approx(early["unused"]) == pytest.approx(15 * 730 / 2)
    later = {line.part: line.usd for line in bill.months[8].lines}
    assert later["units"] == pytest.approx((terms[1] + terms[7]) / 12 * 30 / 100)


def test_units_by_the_hour_come_on_top_of_terms_that_run_and_a_provider_that_is_left_is_paid_to_their_end() -> None:
    """10 units for six months at 2 dollars; from month 3 on 12 by the hour at 3, so 2; none of it from month 5 on."""
    usage = Usage(HOUR_S, (), (provider(np.zeros((1, 1, 4))),))
    term = replace(API, provisioned_units=10.0, usd_per_unit_hour=2.0, unit_term_months=6, span=Span(1, 2))
    hourly = replace(term, provisioned_units=12.0, usd_per_unit_hour=3.0, unit_term_months=0, span=Span(3, 4))
    uses = [month(usage)] * 4 + [month(Usage(HOUR_S, (), ()))] * 3
    bill = bill_study(Terms("api", apis=(term, hourly), months=7), uses)
    by_month = [float(total_usd(one.lines)) / 730 for one in bill.months]
    assert by_month == pytest.approx([20.0, 20.0, 26.0, 26.0, 20.0, 20.0, 0.0])
    assert [line.part for line in bill.months[4].lines] == ["unused"]
    assert bill.months[-1].liability_usd == 0


def test_use_that_no_price_is_for_is_refused() -> None:
    usage = Usage(HOUR_S, (), (provider(np.zeros((2, 1, 4))),))
    with pytest.raises(InputError, match="classes, bands and kinds"):
        bill_study(Terms("api", apis=(API,), months=1), [month(usage)])
    with pytest.raises(InputError, match="no price of provider api"):
        bill_study(Terms("api", months=1), [month(usage)])


@pytest.mark.parametrize(("months", "hours"), [(1, 700.0), (2, 730.0)])
def test_periods_that_make_no_month_and_months_that_make_no_study_are_refused(months: int, hours: float) -> None:
    usage = Usage(HOUR_S, (), (provider(np.zeros((1, 1, 4))),))
    with pytest.raises(InputError):
        bill_study(Terms("api", apis=(API,), months=months), [MonthUse((PeriodUse(usage, hours),))])


def test_a_month_of_three_kinds_of_tokens_and_its_answers() -> None:
    found = unit_prices(100.0, Tokens(delivered=40e6, output=10e6, processed=50e6, requests=25_000.0))
    assert (found.processed, found.output, found.delivered) == pytest.approx((2.0, 10.0, 2.5))
    assert found.thousand_requests == pytest.approx(4.0)
    none = unit_prices(100.0, Tokens(delivered=0.0, output=0.0, processed=50e6, requests=0.0))
    assert (none.processed, none.output, none.delivered, none.thousand_requests) == (2.0, None, None, None)


def test_energy_and_carbon_go_by_the_hour_and_the_month_of_the_grid() -> None:
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1)),), (), (servers(1, ["pool"]),))
    by_hour = tuple(float(hour) for hour in range(24))
    by_month = tuple(float(100 * number + hour) for number in range(12) for hour in range(24))
    kwh = 730 * (4 * 0.5 + 2.0) * 1.3
    for grid, factor in ((), None), ((0.3,), 0.3), (by_hour, 5.5), (by_month, 305.5):
        place: Facility = replace(PLACE, co2_kg_per_kwh=grid)
        terms = Terms("own", owned=(owned(facility=place),), months=1)
        (found,) = month_energy(terms, month_use(terms, month(usage, start_hour=5.0)), [1], calendar_month=4)
        assert found.kwh == pytest.approx(kwh)
        assert found.co2_kg == (None if factor is None else pytest.approx(kwh * factor))
        assert per_million([found, found], 2e6)[0] == pytest.approx(kwh)
        assert per_million([found], 2e6)[1] == (None if factor is None else pytest.approx(kwh * factor / 2))
        assert per_million([found], 0.0) == per_million([], 1.0) == (None, None)


def test_the_energy_of_a_study_is_that_of_its_calendar() -> None:
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1)),), (), (servers(1, ["pool"]),))
    grid = tuple(float(100 * number) for number in range(12) for _ in range(24))
    terms = Terms("own", owned=(owned(facility=replace(PLACE, co2_kg_per_kwh=grid)),), months=2.5, first_month=12)
    (found,) = study_energy(terms, [month(usage)] * 3)
    kwh = 730 * (4 * 0.5 + 2.0) * 1.3
    assert found.kwh == pytest.approx(kwh)
    assert found.co2_kg == pytest.approx(kwh * (1_100 + 0 + 0.5 * 100) / 2.5)


def test_the_carbon_of_a_pool_that_moves_is_known_where_both_grids_are() -> None:
    used = month(Usage(2 * HOUR_S, (pool("burst", stays=fixed(1)),), ()))
    known, other, unknown = (rented("burst", co2_kg_per_kwh=grid) for grid in ((0.4,), (0.2,), ()))
    for after, co2_share in ((other, (0.4 + 2 * 0.2) / 3), (unknown, None)):
        offers = replace(known, span=Span(1, 1)), replace(after, span=Span(2))
        (found,) = study_energy(Terms("cloud", rented=offers, months=3), [used] * 3)
        assert found.co2_kg == (None if co2_share is None else pytest.approx(found.kwh * co2_share))
