"""Offers of rented GPUs: what is sold, on which day, and which of them a pool gets."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.catalog.freshness import age_days, catalog_day, freshness, is_stale
from simulator.catalog.gpus import gpus
from simulator.catalog.listing import names, provenance, stale
from simulator.catalog.offers import TIERS, GpuOffer, gpu_offer, gpu_offers
from simulator.catalog.quantity import UNDATED, day_of, read_yaml
from simulator.catalog.sites import sites
from simulator.errors import InputError

USD_PER_GPU_HOUR = {"l4": (0.2, 2), "rtx-4090": (0.1, 2), "gb200": (2, 30), "gb300": (2, 20), "b300": (2, 20)}
DATA_CENTRE = (0.3, 16)


@pytest.mark.parametrize("offer", gpu_offers(), ids=lambda offer: f"{offer.name}/{offer.instance}/{offer.date}")
def test_every_offer_says_what_is_sold_and_when(offer: GpuOffer) -> None:
    assert offer.site in sites()
    assert offer.gpu in gpus()
    assert offer.tier in TIERS
    assert offer.gpus_per_instance in {1, 2, 4, 8, 36, 72}
    assert offer.instance
    assert offer.machine.startswith(f"{offer.gpus_per_instance} x ")
    assert offer.source
    assert offer.source_url
    if offer.date == "unknown":
        assert offer.kind == "estimate"
    else:
        assert date(2025, 11, 26) < date.fromisoformat(offer.date) <= catalog_day()
    low, high = USD_PER_GPU_HOUR.get(offer.gpu, DATA_CENTRE)
    assert low <= offer.usd_per_gpu_hour <= high
    assert (offer.term_months > 0) == offer.tier.startswith("reserved")
    assert 0 <= offer.upfront_fraction <= 1


def test_no_day_has_two_prices_of_one_instance() -> None:
    keys = [(offer.name, offer.instance, offer.date) for offer in gpu_offers()]
    assert len(keys) == len(set(keys))


def test_sites_that_rent_say_how_they_count_time() -> None:
    for name in {offer.site for offer in gpu_offers()}:
        place = sites()[name]
        assert place.billing_granularity is not None
        assert place.billing_minimum is not None
        assert 0 < place.billing_granularity.value <= place.billing_minimum.value


@pytest.mark.parametrize(("name", "minimum_s", "granularity_s"), [("vultr", 3600, 3600), ("oci", 3600, 1)])
def test_bare_metal_is_billed_for_an_hour_at_least(name: str, minimum_s: float, granularity_s: float) -> None:
    place = sites()[name]
    assert place.billing_minimum is not None
    assert place.billing_granularity is not None
    assert (place.billing_minimum.value, place.billing_granularity.value) == (minimum_s, granularity_s)
    assert (place.billing_minimum.kind, place.billing_granularity.kind) == ("sourced", "sourced")


def test_the_latest_price_of_an_instance_counts() -> None:
    assert gpu_offer("nebius", "h100-sxm").usd_per_gpu_hour == 4.5
    assert gpu_offer("neocloud", "h100-sxm", "reserved_3y").upfront_fraction == 0.25


def test_a_pool_gets_the_instances_that_hold_it_for_least() -> None:
    assert gpu_offer("lambda", "h100-sxm").usd_per_instance_hour == 4.29
    assert gpu_offer("lambda", "h100-sxm", gpus=3).usd_per_instance_hour == 4 * 4.09
    assert gpu_offer("lambda", "h100-sxm", gpus=4, replicas=4).usd_per_gpu_hour == 3.99
    assert gpu_offer("lambda", "h100-sxm", replicas=7).instance == "gpu_1x_h100_sxm5"
    assert gpu_offer("lambda", "h100-sxm", replicas=8).instance == "gpu_8x_h100_sxm5"
    whole = gpu_offer("aws-us-east", "h100-sxm", gpus=4)
    assert (whole.instance, whole.gpus_per_instance, whole.usd_per_instance_hour) == ("p5.48xlarge", 8, 55.04)
    assert gpu_offer("lambda", "h100-sxm", instance="gpu_8x_h100_sxm5").gpus_per_instance == 8


@given(
    name=st.sampled_from(sorted({(o.site, o.gpu, o.tier) for o in gpu_offers()})),
    gpus=st.integers(1, 8),
    replicas=st.integers(1, 40),
)
@settings(deadline=None)
def test_no_other_instance_holds_the_pool_for_less(name: tuple[str, str, str], gpus: int, replicas: int) -> None:
    fits = [o for o in latest().values() if (o.site, o.gpu, o.tier) == name]
    fits = [o for o in fits if o.gpus_per_instance >= gpus or name[1] in ("gb200", "gb300")]
    if not fits:
        with pytest.raises(InputError, match="no instance"):
            gpu_offer(*name, gpus=gpus, replicas=replicas)
        return
    chosen = gpu_offer(*name, gpus=gpus, replicas=replicas)
    assert chosen in fits
    bill = {o.instance: whole_instances(o, gpus, replicas) * o.usd_per_instance_hour for o in fits}
    assert bill[chosen.instance] == min(bill.values())


def whole_instances(offer: GpuOffer, gpus: int, replicas: int) -> int:
    if gpus > offer.gpus_per_instance:
        return replicas * -(-gpus // offer.gpus_per_instance)
    held, count = 0, 0
    while held < replicas:
        held, count = held + offer.gpus_per_instance // gpus, count + 1
    return count


def latest() -> dict[tuple[str, str], GpuOffer]:
    return {(o.name, o.instance): o for o in sorted(gpu_offers(), key=lambda o: day_of(o.date))}


def test_an_instance_that_holds_no_replica_is_refused() -> None:
    with pytest.raises(InputError, match=r"holds 4 h100-nvl: NC40ads_H100_v5 with 1, NC80adis_H100_v5 with 2"):
        gpu_offer("azure-us-east", "h100-nvl", gpus=4)
    with pytest.raises(InputError, match=r"did you mean .p5\.48xlarge"):
        gpu_offer("aws-us-east", "h100-sxm", instance="p5.48xlarg")


def test_azures_single_cards_are_what_the_sizes_have() -> None:
    assert {o.gpu for o in gpu_offers() if o.instance.endswith("ads_H100_v5")} == {"h100-nvl"}
    assert {o.gpu for o in gpu_offers() if o.instance.endswith("ads_A100_v4")} == {"a100-pcie"}
    assert gpu_offer("azure-us-east", "h100-nvl").usd_per_instance_hour == 6.98
    card = gpus()["h100-nvl"]
    assert card.bandwidth.value == 3.9e12
    assert card.memory.value / 2**30 == 94


def test_a_missing_offer_says_what_there_is() -> None:
    with pytest.raises(InputError, match=r"it offers .*h100-sxm on_demand.*is at hyperstack"):
        gpu_offer("gcp-us-central", "h100-pcie")
    with pytest.raises(InputError, match="it offers no GPUs"):
        gpu_offer("groq", "h100-sxm")
    with pytest.raises(InputError, match="unknown tier"):
        gpu_offer("nebius", "h100-sxm", "ondemand-ish")


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-11-09", date(2026, 11, 9)),
        ("2026-11", date(2026, 11, 1)),
        ("2026", date(2026, 1, 1)),
        ("2024-07 YTD", date(2024, 7, 1)),
        ("2022-10..2023-09", date(2022, 10, 1)),
        ("n/d", UNDATED),
        ("unknown", UNDATED),
    ],
)
def test_a_date_counts_from_its_first_day(written: str, day: date) -> None:
    assert day_of(written) == day


def test_ages() -> None:
    assert [age_days(text) for text in ("90d", "2w", "12m", "1y")] == [90, 14, 365.25, 365.25]
    for wrong in ("90", "d", "-1d", "1.5m", "90 d"):
        with pytest.raises(InputError, match="as 90d"):
            age_days(wrong)
    today = date(2026, 11, 26)
    assert not is_stale("2026-08-28", today, 90)
    assert is_stale("2026-08-27", today, 90)
    assert is_stale("n/d", today, 1e6)


def test_stale_figures_on_a_day() -> None:
    today = date(2026, 11, 26)
    old = {(row["name"], row["date"]) for row in stale(90, today, "gpu_offers")}
    assert old == {(o.name, o.date) for o in latest().values() if is_stale(o.date, today, 90)}
    assert ("nebius/h100-sxm/on_demand", "2026-09-25") not in old
    everything = stale(0, date(2100, 1, 1))
    assert [row["age_days"] for row in everything if row["age_days"] is None] == [
        None for row in everything if day_of(row["date"]) == UNDATED
    ]
    ages = [row["age_days"] for row in everything if row["age_days"] is not None]
    assert ages == sorted(ages, reverse=True)
    assert not stale(1e6, date(2026, 11, 26), "gpus")


class Used(NamedTuple):
    id: str
    kind: str
    date: str
    unit: str


def test_a_result_names_its_estimates_and_what_is_old() -> None:
    used = [
        Used("onprem.fte_cost", "sourced", "2025-07", "USD per FTE-year"),
        Used("onprem.wacc", "estimate", "2026-11-23", "per year"),
        Used("verda/h100-sxm/spot", "estimate", "unknown", "USD per GPU-hour"),
        Used("onprem.wacc", "estimate", "2026-11-23", "per year"),
        Used("topologies.cloud.pools[0].price", "given", "", "USD per GPU-hour"),
        Used("servers[0].capex_usd", "given", "2024-01-05", "USD per server"),
    ]
    found = freshness(used, date(2026, 11, 26))
    assert found.estimates == ("onprem.wacc", "verda/h100-sxm/spot")
    assert found.stale == ("onprem.fte_cost", "servers[0].capex_usd", "verda/h100-sxm/spot")


@pytest.mark.parametrize(
    ("unit", "days"),
    [
        ("USD per GPU-hour", 90),
        ("USD per 1M tokens", 90),
        ("of the price", 90),
        ("USD per kWh", 365),
        ("USD per kW-month", 365),
        ("USD per FTE-year", 365),
        ("USD per 8-GPU server", 365),
        ("fraction of servers", 365),
        ("W per GPU", 1095),
        ("kW per 8-GPU server", 1095),
        ("ratio", 1095),
    ],
)
def test_rents_and_tokens_are_old_sooner_than_other_prices_and_power_later(unit: str, days: int) -> None:
    today = date(2026, 11, 26)
    for age, is_old in ((days, False), (days + 1, True)):
        used = Used("it", "sourced", (today - timedelta(days=age)).isoformat(), unit)
        assert freshness([used], today).stale == (("it",) if is_old else ())


def test_every_unit_that_has_an_age_of_its_own_is_one_of_a_figure() -> None:
    """Else an age would wait for a unit that is spelled in another way."""
    units = {row["unit"] for kind in ("costs", "sites", "servers", "gpus") for row in figures_of(kind)}
    units |= {"USD per GPU-hour", "USD per 1M tokens", "of the price"}
    for begins in read_yaml("catalog.yaml")["old_after_days"]["units"]:
        assert any(unit == begins or unit.startswith(f"{begins} ") for unit in units), begins


def figures_of(kind: str) -> list[dict[str, Any]]:
    return [row for name in names(kind) for row in provenance(kind, name)]


def test_an_offer_prints_like_any_entry() -> None:
    rows = provenance("gpu_offers", "azure-us-east/h100-nvl/on_demand")
    assert [row["value"] for row in rows] == [6.98, 17.64]
    assert all("H100 NVL 94 GB" in row["figure"] for row in rows)
    with pytest.raises(InputError, match="did you mean 'nebius/h200/spot'"):
        provenance("gpu_offers", "nebius/h200/spt")


def test_sites_that_sell_single_cards_at_one_price_hold_tensor_parallel_replicas() -> None:
    for place in ("verda", "runpod", "hyperstack"):
        one, eight = (gpu_offer(place, "h100-sxm" if place != "hyperstack" else "h100-pcie", gpus=n) for n in (1, 8))
        assert (one.gpus_per_instance, eight.gpus_per_instance) == (1, 8)
        assert eight.usd_per_gpu_hour == pytest.approx(one.usd_per_gpu_hour)


def test_every_price_has_a_day() -> None:
    assert not [offer.name for offer in gpu_offers() if offer.date == "unknown"]
