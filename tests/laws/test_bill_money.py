"""Laws of the money model: what rises, what scales, what adds up; the exported table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bill_cases import API, HOUR_S, PLACE, SERVER, STAFF, fixed, month, owned, pool, provider, rented, servers
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.annuity import recovery_factor
from simulator.bill.focus import MANDATORY, Resource, focus_frame, usd_per_unit
from simulator.bill.parts import GPU_HOURS
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.study.bill import Bill, Line
from simulator.study.terms import Commitment, Facility, RentedTerms, ServerKind, Terms
from simulator.study.usage import Stay, Usage

OFFER = rented(usd=24.0, commitments=(Commitment(16.0, 12, 1, 0.5),))
WHERE = {
    "here/h100-sxm": Resource("Own", "de"),
    "pool": Resource("Cloud", "us"),
    "api": Resource("Provider", "eu"),
    "own": Resource("own", ""),
    "cloud": Resource("cloud", ""),
}


def own(server: ServerKind = SERVER, facility: Facility = PLACE, used: int = 2, **changes: Any) -> Bill:
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(used)),), (), (servers(used, ["pool"]),))
    terms = Terms("own", owned=(owned(server=server, facility=facility, spares=1),), staff=(STAFF,), months=12.0)
    return bill_study(replace(terms, **({"discount_rate_per_year": 0.08} | changes)), [month(usage)] * 12)


def cloud(offer: RentedTerms = OFFER, hours: float = 1.0, replicas: int = 2) -> Bill:
    stays = (*fixed(1), *(Stay(k, k, "serving", 0.0, hours * HOUR_S) for k in range(1, replicas)))
    return bill_study(
        Terms("cloud", rented=(offer,), months=12.0), [month(Usage(2 * HOUR_S, (pool(stays=stays),), ()))] * 12
    )


@given(used=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_owned_gpu_hours_are_all_accounted_for(used: int) -> None:
    for category in ("hardware", "network and storage", "installation", "maintenance", "space"):
        hours = math.fsum(line.quantity for line in own(used=used).lines if line.category == category)
        assert hours == pytest.approx((used + 1) * 8 * 730.0)


@given(hours=st.floats(0.01, 2.0), replicas=st.integers(1, 9), committed=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_rented_gpu_hours_are_those_of_the_instances_and_the_commitment_is_paid_in_full(
    hours: float, replicas: int, committed: int
) -> None:
    commitment = Commitment(16.0, 12, committed)
    bill = cloud(replace(OFFER, commitments=(commitment,)), hours, replicas)
    held = 4 * (2 + (replicas - 1) * hours) * 365
    of_gpus = [line for line in bill.lines if line.unit == GPU_HOURS]
    assert math.fsum(line.quantity for line in of_gpus if line.part != "unused") == pytest.approx(held)
    reserved = [line for line in of_gpus if line.category == "committed"]
    assert math.fsum(line.quantity for line in reserved) == pytest.approx(committed * 8 * 730.0)
    assert float(total_usd(reserved)) == pytest.approx(committed * 730 * 16.0)


@given(rate=st.floats(1e-12, 1.0), periods=st.floats(0.5, 60.0))
@settings(max_examples=60, deadline=None)
def test_the_annuity_repays_its_principal(rate: float, periods: float) -> None:
    factor = float(recovery_factor(rate, periods))
    assert factor * -math.expm1(-periods * math.log1p(rate)) / rate == pytest.approx(1.0, rel=1e-9)
    assert factor >= (1 - 1e-12) / periods
    assert factor >= rate * (1 - 1e-12)


def test_the_same_hours_over_again_cost_the_same_a_month() -> None:
    once = pool(stays=fixed(1))
    names = ("billed_s", "busy_s", "idle_s", "output_tokens")
    again = replace(
        pool(stays=fixed(1, 6 * HOUR_S), end_s=6 * HOUR_S),
        energy_by_hour_j=np.tile(once.energy_by_hour_j, 3),
        **{name: 3 * getattr(once, name) for name in names},
    )
    usages = [
        Usage(end_s, (used,), (), (servers(1, ["pool"], end_s),))
        for end_s, used in ((2 * HOUR_S, once), (6 * HOUR_S, again))
    ]
    flat = replace(PLACE, electricity_usd_per_kwh=(0.1,))
    for terms in (Terms("own", owned=(owned(facility=flat),), months=1), Terms("cloud", rented=(OFFER,), months=1)):
        first, second = (bill_study(terms, [month(usage)]) for usage in usages)
        assert [line.usd for line in second.lines] == pytest.approx([line.usd for line in first.lines])


def test_sites_cost_what_each_costs_alone() -> None:
    a = Usage(2 * HOUR_S, (pool("a", stays=fixed(1)),), (), (servers(1, ["a"]),))
    there = replace(servers(2, ["b"]), site="there")
    b = Usage(2 * HOUR_S, (pool("b", stays=fixed(2)),), (), (there,))
    both = Usage(2 * HOUR_S, a.pools + b.pools, (), a.servers + b.servers)
    sites = owned(("a",)), owned(("b",), site="there")
    whole = bill_study(Terms("own", owned=sites, months=9), [month(both)] * 9)
    alone = [
        bill_study(Terms("own", owned=(site,), months=9), [month(use)] * 9)
        for site, use in zip(sites, (a, b), strict=True)
    ]
    assert whole.lines == alone[0].lines + alone[1].lines
    assert whole.paid_usd == pytest.approx(alone[0].paid_usd + alone[1].paid_usd)


RISING = [
    *(f"server.{name}" for name in ("capex_usd", "network_storage_share", "maintenance_share_per_year")),
    *(f"server.{name}" for name in ("reserved_kw", "host_kw", "gpu_idle_kw", "install_usd")),
    *("facility.usd_per_kw_month", "facility.pue", "discount_rate_per_year"),
]


@pytest.mark.parametrize("name", RISING)
@given(factor=st.floats(1.0, 3.0))
@settings(max_examples=10, deadline=None)
def test_owning_never_gets_cheaper_when_a_price_rises(name: str, factor: float) -> None:
    room, _, key = name.rpartition(".")
    if room:
        base = {"server": SERVER, "facility": PLACE}[room]
        dearer = own(**{room: replace(base, **{key: factor * getattr(base, key)})})  # type: ignore[type-var]
    else:
        dearer = own(**{key: 0.08 * factor})
    assert float(total_usd(dearer.lines)) >= float(total_usd(own().lines)) * (1 - 1e-12)


@given(factor=st.floats(1.0, 10.0))
@settings(max_examples=20, deadline=None)
def test_owning_never_gets_dearer_when_the_residual_rises(factor: float) -> None:
    better = own(server=replace(SERVER, residual_share=0.1 * factor))
    assert float(total_usd(better.lines)) <= float(total_usd(own().lines)) * (1 + 1e-12)
    assert better.npv_usd <= float(own().npv_usd) + 1e-6


@given(low=st.floats(0.01, 2.0), high=st.floats(0.01, 2.0), extra=st.floats(0.0, 5.0))
@settings(max_examples=40, deadline=None)
def test_renting_never_gets_cheaper_with_more_use_or_a_higher_price(low: float, high: float, extra: float) -> None:
    low, high = sorted((low, high))
    less, more = cloud(hours=low), cloud(hours=high)
    assert float(total_usd(less.lines)) <= float(total_usd(more.lines)) * (1 + 1e-12)
    dearer = cloud(replace(OFFER, usd_per_instance_hour=(24.0 + extra,)), high)
    assert float(total_usd(dearer.lines)) >= float(total_usd(more.lines)) * (1 - 1e-12)


@given(factor=st.floats(0.01, 100.0))
@settings(max_examples=20, deadline=None)
def test_another_currency_scales_every_line(factor: float) -> None:
    server, place = (
        replace(
            noun,
            **{
                f.name: factor * getattr(noun, f.name)
                for f in dataclasses.fields(noun)
                if "usd" in f.name and f.type == "Money"
            },
        )
        for noun in (SERVER, PLACE)
    )
    place = replace(place, electricity_usd_per_kwh=tuple(factor * price for price in PLACE.electricity_usd_per_kwh))
    base, scaled = own(staff=()), own(server, place, staff=())  # type: ignore[arg-type]
    assert [line.usd for line in scaled.lines] == pytest.approx([factor * line.usd for line in base.lines])


def exported(lines: Sequence[Line]) -> pd.DataFrame:
    return focus_frame(lines, [WHERE[line.owner] for line in lines], "scenario", "topology", "2027-12")


def test_each_of_several_commitments_is_one_in_the_export() -> None:
    offer = replace(OFFER, commitments=(Commitment(16.0, 12, 1, 0.4), Commitment(12.0, 36, 1)))
    frame = exported(cloud(offer).lines)
    committed = frame[frame["x_Kind"] == "committed"]
    assert set(committed["PricingCategory"]) == {"Committed"}
    assert set(committed["CommitmentDiscountId"]) == {"pool/committed 12 months", "pool/committed 36 months"}
    assert set(committed["ServiceSubcategory"]) == {"Virtual Machines"}


def test_the_exported_table_adds_up() -> None:
    usage = Usage(
        2 * HOUR_S,
        (
            replace(pool("base", stays=fixed(2)), name="base"),
            pool(stays=(*fixed(1), Stay(1, 1, "serving", 0.0, HOUR_S))),
        ),
        (provider([[[10**9, 10**8, 0, 10**8]]]),),
        (servers(2, ["base"]),),
    )
    terms = Terms(
        "own",
        owned=(owned(("base",), spares=1),),
        rented=(replace(OFFER, commitments=(Commitment(16.0, 36, 2, 0.4),)),),
        apis=(replace(API, tier_by_class=("batch",), residency_premium=0.12),),
        staff=(STAFF,),
        months=24.0,
    )
    bill = bill_study(terms, [month(usage)] * 24)
    frame = exported(bill.lines)
    whole = float(total_usd(bill.lines))
    assert round(float(frame["EffectiveCost"].sum()) * 100) == round(whole * 100)
    assert len(frame) == len(bill.lines)
    assert (frame["PricingQuantity"] * frame["x_EffectiveUnitPrice"]).sum() == pytest.approx(whole)
    assert (frame["BilledCost"] <= frame["EffectiveCost"]).all()
    nullable = {"ChargeClass", "BillingAccountName", "PublisherName", "InvoiceIssuerName"}
    assert not frame[[name for name in MANDATORY if name not in nullable]].isna().any().any()
    assert set(frame["ChargePeriodEnd"]) <= {"2028-01-01T00:00:00Z"}
    committed = frame["PricingCategory"] == "Committed"
    assert (frame["CommitmentDiscountId"].notna() == committed).all()
    unused = frame[frame["CommitmentDiscountStatus"] == "Unused"]
    assert set(unused["ServiceName"]) == {"committed"}
    assert frame["ConsumedQuantity"].isna().sum() == len(unused)
    tokens = frame[frame["ServiceName"] == "batch tokens"]
    assert set(tokens["ServiceSubcategory"]) == {"Generative AI"}


@given(
    rows=st.lists(st.tuples(st.floats(0, 1e5), st.sampled_from((0.0, 1.0, 0.25, 1 / 3, 0.5, 0.9))), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_both_columns_of_cost_are_whole_cents_by_one_rule(rows: list[tuple[float, float]]) -> None:
    """By fractions: what is due of the cents of a row is all, none, or a part that is rounded among the others."""
    lines = [
        Line("pool", "space", str(k), 1.0, "months", usd, "by_month", prepaid_share=share)
        for k, (usd, share) in enumerate(rows)
    ]
    frame = exported(lines)
    cents, due = ([round(100 * usd) for usd in frame[name]] for name in ("EffectiveCost", "BilledCost"))
    assert frame["BilledCost"].tolist() == [one / 100 for one in due]
    assert sum(cents) == round(100 * math.fsum(usd for usd, _ in rows))
    exact = [one * (1 - Fraction(share).limit_denominator(10)) for one, (_, share) in zip(cents, rows, strict=True)]
    assert all(abs(one - part) < 1 for one, part in zip(due, exact, strict=True))
    assert all(one == part for one, part in zip(due, exact, strict=True) if part.denominator == 1)
    assert sum(due) == round(sum(exact))


def test_equal_rows_that_are_half_prepaid_are_billed_for_half_of_their_sum() -> None:
    """Ten of 5 cents each, half of each paid before: 25 cents, where each by itself rounds to 2 cents."""
    lines = [Line("pool", "rent", str(k), 1.0, "months", 0.05, "committed", prepaid_share=0.5) for k in range(10)]
    assert exported(lines)["BilledCost"].tolist() == [0.03] * 5 + [0.02] * 5


def test_what_was_prepaid_is_not_billed_again() -> None:
    mine = exported(own().lines)
    hardware = mine[mine["ServiceName"] == "hardware"]
    assert (hardware["BilledCost"] == 0).all()
    assert hardware["EffectiveCost"].sum() > 0
    electricity = mine[mine["ServiceName"] == "electricity"]
    assert electricity["BilledCost"].tolist() == electricity["EffectiveCost"].tolist()
    rents = exported(cloud(replace(OFFER, commitments=(Commitment(16.0, 12, 1, 0.4),))).lines)
    reserved = rents[rents["PricingCategory"] == "Committed"]
    assert reserved["BilledCost"].sum() == pytest.approx(0.6 * 730 * 16.0, abs=0.02)
    assert set(rents["ServiceName"]) == {"on demand", "committed"}
    prices = rents.groupby("ServiceName")["x_EffectiveUnitPrice"].mean()
    assert prices.to_dict() == pytest.approx({"on demand": 3.0, "committed": 2.0})
    assert math.isnan(usd_per_unit(Line("pool", "electricity", "gpus", 0.0, "kWh", 0.0, "by_use")))
