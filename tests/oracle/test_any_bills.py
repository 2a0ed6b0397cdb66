"""Any rented pool, calls and servers cost the same by the bill and by a second arithmetic."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from agreement import agree
from bill_cases import (
    API,
    FEES,
    HOUR_S,
    PLACE,
    SERVER,
    STAFF,
    fixed,
    month,
    owned,
    pool,
    provider_by_hour,
    rented,
    servers,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.contract import Credit, Volume, VolumeStep
from simulator.study.demand import When
from simulator.study.terms import Commitment, Span, Tax, Terms, TierPrices, TokenPrices
from simulator.study.usage import PoolUsage, Stay, Usage
from simulator.study.zones import changes_between, in_zone


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[PoolUsage, float]:
    end_s = draw(st.floats(1_000.0, 20_000.0))
    stays = []
    for replica in range(draw(st.integers(1, 6))):
        begin = draw(st.floats(0.0, 0.8)) * end_s
        stop = begin + draw(st.floats(0.01, 1.0)) * (end_s - begin)
        middle = draw(st.floats(0.0, 1.0)) * (stop - begin) + begin
        server = draw(st.integers(0, 3))
        stays += [Stay(replica, server, "starting", begin, middle), Stay(replica, server, "serving", middle, stop)]
    return pool(stays=stays, end_s=end_s, gpus=1), end_s


@settings(deadline=None, max_examples=60)
@given(
    ledger=ledgers(),
    other=ledgers(),
    minimum_s=st.sampled_from([0.0, 60.0, 4_000.0]),
    granularity_s=st.sampled_from([0.0, 1.0, 60.0, HOUR_S]),
    committed=st.sampled_from([None, 0, 1, 3]),
    price=st.floats(0.1, 3.0),
    start_hour=st.floats(0.0, 23.9),
    months=st.floats(0.5, 15.0),
    term=st.sampled_from([1, 7, 12]),
    upfront=st.floats(0.0, 1.0),
    first=st.integers(1, 3),
    last=st.sampled_from([None, 3, 8, 20]),
)
def test_any_rented_pool_costs_the_same_by_both(
    ledger: tuple[PoolUsage, float],
    other: tuple[PoolUsage, float],
    minimum_s: float,
    granularity_s: float,
    committed: int | None,
    price: float,
    start_hour: float,
    months: float,
    term: int,
    upfront: float,
    first: int,
    last: int | None,
) -> None:
    offer = rented(
        usd_per_instance_hour=tuple(1.0 + 0.1 * hour for hour in range(24)),
        minimum_s=minimum_s,
        granularity_s=granularity_s,
        commitments=(Commitment(price, term, committed, upfront),),
    )
    usages = [Usage(end_s, (used,), ()) for used, end_s in (ledger, other)]
    use = month(*usages, start_hour=start_hour)
    count = int(np.ceil(months))
    until = count if last is None else min(last, count)
    none = MonthUse((PeriodUse(Usage(HOUR_S, (), ()), 730.0),))
    uses = [use if first <= k + 1 <= until else none for k in range(count)]
    agree(Terms("cloud", rented=(replace(offer, span=Span(first, last)),), months=months), uses)


WHENS = st.builds(
    When,
    start_hour=st.floats(0.0, 23.9),
    ahead_h=st.sampled_from([0.0, 1.0, -5.0, 5.5]),
    changes=st.sampled_from([(), ((1_800.0, 1.0),), ((3_000.0, -1.0), (9_000.0, 1.0))]),
    spread=st.sampled_from([(), (0.0,) * 8 + (1.0,) * 12 + (0.0,) * 4, (0.5, *(1.0,) * 23)]),
)
VOLUMES = st.builds(
    lambda steps, for_all, free: Volume(tuple(VolumeStep(*step) for step in sorted(steps)), for_all, free),
    st.lists(st.tuples(st.floats(1.0, 2e10), st.floats(0.0, 2.0)), max_size=4, unique_by=lambda step: step[0]),
    st.booleans(),
    st.sampled_from([0.0, 1e9, 1e11]),
)
"""Two classes of two prompt lengths make some 9e9 tokens a month."""


ZONES = st.sampled_from(["", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
YEAR_S = 1.767e9
"""Some day in January 2026 by the clock of a run on a date."""


@lru_cache
def changes_of_the_year(zone: str) -> tuple[float, ...]:
    return tuple(change for change, _ in changes_between(YEAR_S, YEAR_S + 3.2e7, zone))


@st.composite
def dated(draw: st.DrawFn) -> When:
    """A time of the year in some zone, often on a day on which clocks change; hours of two zones are half apart."""
    zone = draw(ZONES.filter(bool))
    changes = changes_of_the_year(zone)
    days = st.floats(0.0, 365.0).map(lambda day: day * 86_400.0)
    at_s = draw(days | st.sampled_from(changes).map(lambda s: s - 4_000.0) if changes else days)
    when = When((YEAR_S + at_s) // 60 * 60, spread=draw(st.sampled_from([(), (0.0,) * 8 + (1.0,) * 12 + (0.0,) * 4])))
    return in_zone(when, zone, 30_000.0)


@settings(deadline=None, max_examples=80)
@given(when=dated(), ledger=ledgers(), zone=ZONES)
def test_electricity_by_the_clocks_of_any_site_costs_the_same_by_both(
    when: When, ledger: tuple[PoolUsage, float], zone: str
) -> None:
    used, end_s = ledger
    usage = Usage(end_s, (used,), (), (servers(2, ["pool"], end_s),))
    agree(
        Terms("own", owned=(owned(facility=replace(PLACE, time_zone=zone)),), months=2.0), [month(usage, when=when)] * 2
    )


@settings(deadline=None, max_examples=80)
@given(when=dated(), zone=ZONES, ahead_h=st.sampled_from([0.0, -4.0, 5.5]), seed=st.integers(0, 1_000))
def test_peaks_by_the_clocks_of_any_provider_cost_the_same_by_both(
    when: When, zone: str, ahead_h: float, seed: int
) -> None:
    counts = np.random.default_rng(seed).integers(0, 10**6, (2, 24, 1, 1, 4))
    factors = tuple(2.0 if hour in (1, 2, 3, 9) else 1.0 for hour in range(24))
    terms = replace(API, factor_by_hour=factors, time_zone=zone, ahead_h=ahead_h, bills_failed=True)
    usage = Usage(29_000.0, (), (provider_by_hour(counts[0], counts[1]),))
    agree(Terms("api", apis=(terms,), months=2.0), [month(usage, when=when)] * 2)


@settings(deadline=None, max_examples=40)
@given(when=WHENS, seed=st.integers(0, 1_000), bills_failed=st.booleans(), volume=VOLUMES)
def test_calls_at_prices_by_the_hour_cost_the_same_by_both(
    when: When, seed: int, bills_failed: bool, volume: Volume
) -> None:
    counts = np.random.default_rng(seed).integers(0, 10**6, (2, 24, 2, 2, 4))
    terms = replace(
        API,
        prices=(TokenPrices(0, 2.5, 0.25, 3.125, 10.0), TokenPrices(200_000, 5.0, 0.5, 6.25, 15.0)),
        tier_by_class=("", "batch"),
        tiers=(TierPrices("batch", (TokenPrices(0, 1.25, 0.2, 1.5, 5.0), TokenPrices(200_000, 2.5, 0.3, 3.0, 7.0))),),
        factor_by_hour=tuple(2.0 if hour in (1, 2, 3, 6, 7, 8, 9) else 1.0 for hour in range(24)),
        bills_failed=bills_failed,
        residency_premium=0.1,
        volume=volume,
    )
    usage = Usage(50_000.0, (), (provider_by_hour(counts[0], counts[1]),))
    agree(Terms("api", apis=(terms,), months=2.0), [month(usage, when=when)] * 2)


@settings(deadline=None, max_examples=40)
@given(when=WHENS, ledger=ledgers())
def test_prices_by_the_local_hour_are_the_same_by_both(when: When, ledger: tuple[PoolUsage, float]) -> None:
    used, end_s = ledger
    offer = rented(usd_per_instance_hour=tuple(1.0 + 0.1 * hour for hour in range(24)))
    agree(Terms("cloud", rented=(offer,), months=2.0), [month(Usage(end_s, (used,), ()), when=when)] * 2)


@settings(deadline=None, max_examples=60)
@given(
    months=st.floats(0.5, 40.0) | st.integers(1, 40).map(float),
    rate=st.sampled_from([0.0, 0.08]),
    life_years=st.sampled_from([0.5, 1.0, 1.7, 5.0]),
    used=st.lists(st.integers(1, 4), min_size=40, max_size=40),
    spares=st.sampled_from([None, 0, 2]),
    spare_share=st.sampled_from([0.0, 0.1, 0.5]),
    last=st.integers(1, 40),
    sold_share=st.sampled_from([None, 0.0, 0.4]),
    jobs=st.sampled_from([0.0, 3.0, 500.0]),
    ages=st.sampled_from([(), ((1.0, 0.6), (2.0, 0.4))]),
)
def test_any_servers_that_others_replace_cost_the_same_by_both(
    months: float,
    rate: float,
    life_years: float,
    used: list[int],
    spares: int | None,
    spare_share: float,
    last: int,
    sold_share: float | None,
    jobs: float,
    ages: tuple[tuple[float, float], ...],
) -> None:
    """Bought as they are needed, replaced at the end of a life, sold early or at the end; 500 jobs overfill a month."""
    count = int(np.ceil(months))
    kind = replace(SERVER, life_years=life_years, install_usd=5_000.0, resale_share_by_age=ages, residual_share=0.1)
    old = owned(("chat",), kind, spares=spares, spare_share=spare_share)
    new = replace(old, server=replace(kind, gpu="b200", capex_usd=400_000.0), span=Span(last + 1))
    is_replaced = last < count
    sites = (replace(old, span=Span(1, last), sold_share=sold_share), new) if is_replaced else (old,)
    uses = []
    for k, n in enumerate(used[:count]):
        there = replace(servers(n, ["chat"]), gpu="b200" if is_replaced and k >= last else "h100-sxm")
        uses.append(month(Usage(2 * HOUR_S, (pool("chat", stays=fixed(n)),), (), (there,))))
    terms = Terms("own", owned=sites, staff=(STAFF,), fees=FEES, discount_rate_per_year=rate, months=months)
    agree(replace(terms, jobs_per_month=jobs), uses)


COMMITMENTS = st.lists(
    st.builds(
        Commitment,
        st.floats(5.0, 70.0),
        st.sampled_from([1, 3, 7, 12]),
        st.sampled_from([None, 0, 1, 2]),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    max_size=3,
    unique_by=lambda commitment: commitment.term_months,
)


@settings(deadline=None, max_examples=60)
@given(
    ledger=ledgers(),
    other=ledgers(),
    commitments=COMMITMENTS,
    later_ones=COMMITMENTS,
    months=st.floats(0.5, 20.0) | st.integers(1, 20).map(float),
    busy=st.lists(st.booleans(), min_size=20, max_size=20),
    last=st.integers(1, 20),
    jobs=st.sampled_from([0.0, 3.0]),
    drift=st.sampled_from([0.97, 1.0, 1.03]),
)
def test_any_commitments_under_one_offer_after_another_cost_the_same_by_both(
    ledger: tuple[PoolUsage, float],
    other: tuple[PoolUsage, float],
    commitments: list[Commitment],
    later_ones: list[Commitment],
    months: float,
    busy: list[bool],
    last: int,
    jobs: float,
    drift: float,
) -> None:
    count = int(np.ceil(months))
    offer = rented(usd=40.0, commitments=tuple(commitments))
    later = replace(rented(usd=30.0, gpus_per_instance=4), commitments=tuple(later_ones), span=Span(last + 1))
    offers = (replace(offer, span=Span(1, last)), later) if last < count else (offer,)
    quiet, full = (month(Usage(end_s, (used,), ())) for used, end_s in (ledger, other))
    terms = Terms("cloud", rented=offers, months=months, discount_rate_per_year=0.1, jobs_per_month=jobs)
    index = drift ** np.arange(count + 1)
    agree(replace(terms, rental_index=index), [full if busy[k] else quiet for k in range(count)])


CREDITS = st.sampled_from([(), (Credit(0.999, 0.1),), (Credit(0.99, 0.1), Credit(0.9, 0.5), Credit(0.5, 1.0))])
ON = ((), ("tokens",), ("on demand", "committed"), ("service credit", "minimum spend"), ("hardware",))
TAXES = st.lists(
    st.builds(Tax, st.sampled_from(["vat", "levy"]), st.floats(0.0, 0.5), st.sampled_from(ON)),
    max_size=2,
    unique_by=lambda tax: tax.name,
).map(tuple)


@settings(deadline=None, max_examples=60)
@given(
    ledger=ledgers(),
    seed=st.integers(0, 1_000),
    down=st.lists(st.floats(0.0, 900.0), min_size=4, max_size=4),
    volume=VOLUMES,
    credits=CREDITS,
    taxes=TAXES,
    least=st.sampled_from([0.0, 400.0, 1e6]),
    commitments=COMMITMENTS,
    jobs=st.sampled_from([0.0, 3.0]),
    months=st.sampled_from([1.0, 2.5]),
    taxed_until=st.sampled_from([None, 1, 2]),
)
def test_any_contract_costs_the_same_by_both(
    ledger: tuple[PoolUsage, float],
    seed: int,
    down: list[float],
    volume: Volume,
    credits: tuple[Credit, ...],
    taxes: tuple[Tax, ...],
    least: float,
    commitments: list[Commitment],
    jobs: float,
    months: float,
    taxed_until: int | None,
) -> None:
    """Two periods of two replications each, of which the provider and the zone are down for other times."""
    used, end_s = ledger
    rng, periods = np.random.default_rng(seed), []
    for k, down_s in enumerate(down):
        called = provider_by_hour(rng.integers(0, 10**6, (24, 1, 1, 4)), rng.integers(0, 10**4, (24, 1, 1, 4)))
        there = replace(used, zone_down_s=down_s)
        usage = Usage(end_s, (there,), (replace(called, down_s=900.0 - down_s),))
        periods.append(PeriodUse(usage, (100.0, 265.0)[k // 2], replication=k % 2))
    contract = {"volume": volume, "credits": credits, "minimum_usd_per_month": least}
    terms = Terms(
        "both",
        rented=(replace(rented(usd=2.0, commitments=tuple(commitments)), **contract),),
        apis=(replace(API, bills_failed=True, residency_premium=0.1, **contract),),
        taxes=tuple(replace(tax, span=Span(1, taxed_until)) for tax in taxes),
        months=months,
        jobs_per_month=jobs,
    )
    agree(terms, [MonthUse(tuple(periods))] * int(np.ceil(months)))
