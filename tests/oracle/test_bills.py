"""The bill against a second arithmetic that shares no code with it, on what the product writes of use and terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agreement import agree
from bill_cases import (
    API,
    FEES,
    HOUR_S,
    SERVER,
    STAFF,
    TARIFF,
    fixed,
    month,
    owned,
    pool,
    provider,
    provider_by_hour,
    rented,
    servers,
)

from simulator.bill.study import bill_study
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.demand import When
from simulator.study.terms import Commitment, Fee, RentedTerms, Span, Terms, TierPrices, TokenPrices
from simulator.study.usage import Stay, Usage

Case = tuple[Terms, list[MonthUse]]


def shared_server() -> Case:
    """Two pools of one site on one server, at hours with their own price of electricity."""
    usage = Usage(
        2 * HOUR_S, (pool("chat", stays=fixed(1)), pool("code", stays=fixed(1))), (), (servers(1, ["chat", "code"]),)
    )
    site = owned(("chat", "code"), spares=1)
    terms = Terms("own", owned=(site,), staff=(STAFF,), fees=FEES, discount_rate_per_year=0.08, months=30.0)
    return terms, [month(usage, start_hour=7.5)] * 30


def reserved() -> Case:
    """Three years in a study of two, half of it upfront, and prices that move."""
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(3)),), ())
    commitment = Commitment(22.0, 36, 2, upfront_share=0.5)
    offer = rented(commitments=(commitment,), tier="reserved_3y")
    index = 0.98 ** np.arange(25)
    return Terms("cloud", rented=(offer,), months=24.0, discount_rate_per_year=0.1, rental_index=index), [
        month(usage)
    ] * 24


def instances() -> Case:
    """Two replicas of four GPUs on instances of eight: one comes and goes, and is billed by the hour."""
    stays = [
        *fixed(1),
        Stay(1, 0, "starting", 600.0, 900.0),
        Stay(1, 0, "serving", 900.0, 2_000.0),
        Stay(2, 1, "starting", 1_000.0, 1_200.0),
        Stay(2, 1, "serving", 1_200.0, 1_700.0),
        Stay(3, 1, "serving", 5_000.0, 5_100.0),
    ]
    offer = rented(
        usd_per_instance_hour=tuple(50.0 + hour for hour in range(24)),
        minimum_s=60.0,
        granularity_s=HOUR_S,
        egress_usd_per_gb=0.09,
        egress_bytes_per_output_token=325.0,
        storage_usd_per_gb_month=0.023,
        storage_gb=160.0,
    )
    usage = Usage(2 * HOUR_S, (pool(stays=stays),), ())
    return Terms("cloud", rented=(offer,), staff=(STAFF,), fees=FEES, months=2.5), [month(usage, start_hour=22.0)] * 3


def api_with_cache_and_batch() -> Case:
    """Two classes, the second in batches; two price bands; cached input and cache writes; failed calls are billed."""
    tokens = [
        [[1_000_003, 400_001, 7_000, 250_007], [90_001, 0, 0, 11_003]],
        [[555_557, 111_111, 0, 77_777], [0, 0, 0, 0]],
    ]
    failed = [[[1_003, 0, 0, 0], [0, 0, 0, 0]], [[501, 7, 0, 3], [0, 0, 0, 0]]]
    prices = (TokenPrices(0, 2.5, 0.25, 3.125, 10.0), TokenPrices(200_000, 5.0, 0.5, 6.25, 15.0))
    terms = replace(
        API,
        prices=prices,
        tier_by_class=("", "batch"),
        tiers=(TierPrices("batch", (TokenPrices(0, 1.25, 0.25, 1.5, 5.0), TokenPrices(200_000, 2.5, 0.5, 3.0, 7.5))),),
        residency_premium=0.1,
        bills_failed=True,
        provisioned_units=2.0,
        usd_per_unit_hour=1.3,
        unit_tokens_per_minute=6_000.0,
        fixed_usd_per_month=99.0,
    )
    usage = Usage(5_000.0, (), (provider(tokens, failed=failed),))
    index = np.array([1.0, 0.99, 0.97, 0.96])
    return Terms("api", apis=(terms,), months=3.0, token_index=index, fees=FEES), [month(usage)] * 3


def units_for_terms() -> Case:
    """Ten units for five months at a time; from month 4 fourteen, dearer, by three; by the hour; then none at all."""
    units = replace(
        API,
        provisioned_units=10.0,
        usd_per_unit_hour=1.3,
        unit_tokens_per_minute=6_000.0,
        unit_term_months=5,
        unit_upfront_share=0.4,
        span=Span(1, 3),
    )
    more = replace(
        units,
        provisioned_units=14.0,
        usd_per_unit_hour=1.7,
        unit_term_months=3,
        unit_upfront_share=0.0,
        span=Span(4, 8),
    )
    by_hour = replace(more, provisioned_units=16.5, unit_term_months=0, span=Span(9, 9))
    last = replace(units, provisioned_units=2.0, unit_term_months=12, span=Span(10, 11))
    usage = Usage(HOUR_S, (), (provider([[[4_000_000, 0, 0, 900_000]]]),))
    terms = Terms("units", apis=(units, more, by_hour, last), months=12.5, fees=FEES, discount_rate_per_year=0.1)
    return terms, [month(usage)] * 11 + [month(Usage(HOUR_S, (), ()))] * 2


def commitments_of_two_terms() -> Case:
    """Two instances for three years, one for a year, the rest on demand; 40 months, after which terms go on."""
    three_years, one_year = Commitment(20.0, 36, 2, upfront_share=0.5), Commitment(26.0, 12, 1)
    offer = rented(commitments=(three_years, one_year), usd=41.0)
    return Terms("mix", rented=(offer,), months=40.0, discount_rate_per_year=0.08), growing(40)


def chosen_mix_with_growth() -> Case:
    """How many, and when, is left open, beside one instance that is given; prices of rent fall by 1 % a month."""
    given, year, three_years = Commitment(31.0, 12, 1), Commitment(30.0, 6, None), Commitment(24.0, 24, None, 0.3)
    offer = rented(commitments=(given, year, three_years), usd=41.0)
    index = 0.99 ** np.arange(31)
    return Terms("chosen", rented=(offer,), months=29.5, rental_index=index), growing(30)


def growing(months: int) -> list[MonthUse]:
    """Three instances in the first months and more each half year, one of them for a third of the time."""
    found = []
    for k in range(months):
        last = 3 + k // 6
        stays = (*fixed(2 * last), Stay(2 * last, last, "serving", 1_800.0, 4_200.0))
        found.append(month(Usage(2 * HOUR_S, (pool(stays=stays),), ())))
    return found


def hybrid_with_growth() -> Case:
    """Owned servers that grow, a rented pool that grows above its commitment, an API; peak and night in each month."""
    months = []
    for k in range(36):
        peak_s, night_s = 2 * HOUR_S, HOUR_S
        own, burst = 1 + k // 14, 1 + k // 5
        peak = Usage(
            peak_s,
            (
                pool("base", stays=fixed(2 * own, peak_s, 2), end_s=peak_s),
                pool("burst", stays=fixed(burst, peak_s, 2), end_s=peak_s),
            ),
            (provider([[[10_000 * (k + 1), 500, 0, 3_000 + k]]]),),
            (servers(own, ["base"], peak_s),),
        )
        night = Usage(
            night_s,
            (
                pool("base", stays=fixed(2 * own, night_s, 2), end_s=night_s),
                pool("burst", stays=fixed(1, night_s, 2), end_s=night_s),
            ),
            (provider([[[100, 0, 0, 30]]]),),
            (servers(own, ["base"], night_s),),
        )
        shape = tuple(1.0 if hour < 6 else 0.0 for hour in range(24))
        peak, night = replace(peak, when=When(start_hour=9.0)), replace(night, when=When(spread=shape))
        months.append(MonthUse((PeriodUse(peak, 500.0), PeriodUse(night, 230.0))))
    offer = RentedTerms("burst", "aws", "reserved_1y", 8, TARIFF, commitments=(Commitment(0.09, 12, None, 0.25),))
    terms = Terms(
        "hybrid",
        owned=(owned(("base",), spares=None, spare_share=0.1),),
        rented=(offer,),
        apis=(API,),
        staff=(STAFF,),
        fees=FEES,
        discount_rate_per_year=0.07,
        months=36.0,
        rental_index=1.01 ** np.arange(37),
    )
    return terms, months


def newer_servers() -> Case:
    """After 13 months servers with other GPUs replace those of one's own, which had grown by one."""
    old, new = owned(("chat",), spares=0), owned(("chat",), replace(SERVER, gpu="b200", capex_usd=410_000.0), spares=1)
    terms = Terms(
        "own",
        owned=(replace(old, span=Span(1, 13), sold_share=0.35), replace(new, span=Span(14))),
        staff=(STAFF,),
        fees=(*FEES, Fee("move", usd_once=9_000.0, span=Span(14))),
        discount_rate_per_year=0.08,
        months=29.5,
    )
    later = replace(servers(1, ["chat"]), gpu="b200")
    months = [Usage(2 * HOUR_S, (pool("chat", stays=fixed(n)),), (), (servers(n, ["chat"]),)) for n in (1, 2)]
    last = Usage(2 * HOUR_S, (pool("chat", stays=fixed(1)),), (), (later,))
    first, second, third = (month(usage) for usage in (*months, last))
    return terms, [first] * 6 + [second] * 7 + [third] * 17


def other_offers() -> Case:
    """One leaves an offer in the middle of a term, a provider's prices fall, and a pool comes back."""
    rent, api = rented("burst", tier="reserved_1y", commitments=(Commitment(40.0, 12, 1, 0.3),)), API
    cheaper = replace(api, prices=(replace(api.prices[0], input=0.1, output=0.4),))
    terms = Terms(
        "mixed",
        rented=(
            replace(rent, span=Span(1, 5)),
            replace(rented("burst", 30.0, gpus_per_instance=4), span=Span(6, 9)),
            replace(rented("burst", 52.0, site="lambda"), span=Span(12)),
        ),
        apis=(replace(api, span=Span(1, 7)), replace(cheaper, site="openai", span=Span(8))),
        fees=(
            replace(FEES[0], span=Span(1, 4)),
            replace(FEES[0], usd_per_month=800.0, usd_per_replica_month=3.0, share_of_bill=0.05, span=Span(5, 15)),
            replace(FEES[1], span=Span(6)),
        ),
        staff=(replace(STAFF, span=Span(3, 7)), replace(STAFF, base_fte=0.2, span=Span(8))),
        months=18.0,
        rental_index=0.99 ** np.arange(19),
    )
    answers = (provider([[[10_000_000, 500, 0, 3_000_000]]]),)
    with_burst = month(Usage(2 * HOUR_S, (pool("burst", stays=fixed(2)),), answers))
    single = month(Usage(2 * HOUR_S, (pool("burst", stays=fixed(2)),), answers))
    alone = month(Usage(2 * HOUR_S, (), answers))
    return terms, [with_burst] * 5 + [single] * 4 + [alone] * 2 + [with_burst] * 7


def jobs() -> Case:
    """Three jobs a month: instances by the hour from launch to end, owned servers for these hours."""
    end_s = 2.4 * HOUR_S
    stays = [Stay(k, k, "starting", 0.0, 300.0) for k in range(2)]
    stays += [Stay(k, k, "serving", 300.0, end_s) for k in range(2)]
    usage = Usage(
        end_s,
        (pool("rent", stays=stays, end_s=end_s), pool("own", stays=fixed(2, end_s), end_s=end_s)),
        (),
        (servers(2, ["own"], end_s),),
    )
    terms = Terms(
        "job",
        owned=(owned(("own",), spares=1),),
        rented=(rented("rent", granularity_s=HOUR_S),),
        staff=(STAFF,),
        fees=FEES,
        discount_rate_per_year=0.08,
        months=12.0,
        jobs_per_month=3.0,
    )
    return terms, [month(usage)] * 12


CASES = {
    case.__name__: case
    for case in (
        shared_server,
        units_for_terms,
        reserved,
        commitments_of_two_terms,
        chosen_mix_with_growth,
        instances,
        api_with_cache_and_batch,
        hybrid_with_growth,
        newer_servers,
        other_offers,
        jobs,
    )
}


@pytest.mark.parametrize("name", CASES)
def test_the_second_arithmetic_prints_the_same_cents(name: str) -> None:
    agree(*CASES[name]())


@pytest.mark.parametrize("filled", [1.0, 1.3])
def test_jobs_that_fill_the_month_or_more_buy_nothing_either(filled: float) -> None:
    terms, months = jobs()
    agree(replace(terms, jobs_per_month=filled * 730 / 2.4), months)


def test_prices_by_the_hour_hold_for_the_months_in_which_they_are_agreed() -> None:
    usage = Usage(2 * HOUR_S, (), (provider_by_hour(*np.full((2, 24, 1, 1, 4), 1_000_000)),))
    flat, peak = API, replace(API, factor_by_hour=(1.0,) * 8 + (3.0,) * 16)
    apis = (replace(peak, span=Span(1, 4)), replace(flat, span=Span(5, 7)), replace(peak, span=Span(8)))
    terms = Terms("api", apis=apis, months=9.0)
    agree(terms, [month(usage)] * 9)
    bill = bill_study(terms, [month(usage)] * 9)
    tokens = [sum(float(line.usd) for line in one.lines if line.category == "tokens") for one in bill.months]
    assert tokens[0] / tokens[4] == pytest.approx(7 / 3)


def test_servers_sold_before_their_life_cost_what_they_lost_without_interest() -> None:
    """At a rate of 0 the lines of a month times the months are what was paid for hardware less what it brought."""
    terms, months = newer_servers()
    old = replace(terms.owned[0], server=replace(SERVER, network_storage_share=0.2, install_usd=3_000.0))
    alone = replace(terms, owned=(old, terms.owned[1]), discount_rate_per_year=0.0, months=29.5)
    bill = bill_study(alone, months)
    lost = sum(
        float(line.usd) * alone.months
        for line in bill.lines
        if line.owner == "here/h100-sxm" and line.category in ("hardware", "network and storage", "installation")
    )
    assert lost == pytest.approx(2 * (300_000 + 3_000 - 0.35 * 300_000))


def test_a_job_is_billed_for_the_hours_that_it_takes() -> None:
    terms, months = jobs()
    bill = bill_study(terms, months)
    usd = {
        name: sum(float(line.usd) for line in bill.lines if line.owner == name) for name in ("rent", "here/h100-sxm")
    }
    assert usd["rent"] == pytest.approx(3 * 2 * 3 * 55.04), "3 jobs on 2 instances, 2.4 hours billed as 3"
    assert bill.capex_usd == 0
    hardware = sum(float(line.usd) for line in bill.lines if line.category == "hardware")
    whole = bill_study(replace(terms, jobs_per_month=0.0), months)
    month_usd = sum(float(line.usd) for line in whole.lines if line.category == "hardware")
    assert hardware == pytest.approx(month_usd * 3 * 2.4 / 730)


def test_the_hybrid_commits_to_what_is_used_often_enough() -> None:
    study = agree(*hybrid_with_growth())
    assert study.rented[0].begun
    assert len(set(study.owned[0].bought)) > 1
