"""Rented GPUs of which starts, or all time without work, are free, by hand: as GPUs that scale to zero are sold.

Fireworks bills GPUs on demand by the second "without paying for boot times" (https://fireworks.ai/blog/why-gpus-on-demand,
2024-06-03, read 2026-11-30); others bill the seconds of execution alone (bestlifepulse.com, serverless GPU pipelines,
read 2026-11-30): 10,000 inferences of 0.5 s a day are 1.39 hours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agreement import agree
from bill_cases import fixed, month, pool, rented
from scenario_cases import chat, written
from terms_cases import pools, refused, resolve

from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.catalog.sites import site, sites
from simulator.run.simulate import simulate
from simulator.study.contract import Volume, VolumeStep
from simulator.study.terms import RentedTerms, Span, Terms
from simulator.study.usage import Stay, Usage

HOUR = 3600.0
READY, BUSY = ("starting",), ("starting", "idle", "down")
SOLD = "{name: pool, gpu: h100-sxm, price_usd_per_gpu_hour: 2, storage_gb: 0, egress_usd_per_gb: 0, %s}"


def bill(offer: RentedTerms, *stays: Stay) -> dict[str, float]:
    """Of a month of hours like this one, by part."""
    use = month(Usage(HOUR, (pool(gpus=1, stays=stays, end_s=HOUR),), ()))
    whole = Terms("cloud", rented=(offer,), months=1.0)
    agree(whole, [use])
    found = bill_study(whole, [use])
    return {line.part: float(line.usd) for line in found.lines if line.usd}


@pytest.mark.parametrize(
    ("free", "paid"),
    [
        ((), {"starting": 146.0, "busy": 438.0, "idle": 292.0}),
        (READY, {"busy": 438.0, "idle": 292.0}),
        (BUSY, {"busy": 438.0}),
    ],
)
def test_a_tenth_of_an_hour_of_starts_and_half_of_one_of_service(free: tuple[str, ...], paid: dict[str, float]) -> None:
    """Six minutes of an hour start and 30 serve, 18 of them with work: of 730 hours at $2 146, 438 and 292."""
    stays = (Stay(0, 0, "starting", 600.0, 960.0), Stay(0, 0, "serving", 960.0, 2_760.0))
    assert bill(rented(usd=2.0, gpus_per_instance=1, free=free), *stays) == pytest.approx(paid)


def test_what_an_instance_has_beside_its_replicas_is_not_paid() -> None:
    """One GPU of eight with work for 60 % of the time: $876, not $11,680."""
    assert sum(bill(rented(usd=16.0, free=BUSY), *fixed(1, HOUR)).values()) == pytest.approx(876.0)
    assert sum(bill(rented(usd=16.0), *fixed(1, HOUR)).values()) == pytest.approx(11_680.0)


def test_paid_hours_alone_fill_the_steps_of_a_volume_and_an_event_changes_what_is_paid() -> None:
    """438 hours with work a month, those above 400 at half; from month 2 on all 730 are paid, 330 of them at half."""
    terms = rented(usd=2.0, gpus_per_instance=1, volume=Volume((VolumeStep(400.0, 0.5),)), free=BUSY)
    terms = replace(terms, later=(replace(terms, free=(), span=Span(2)),))
    use = month(Usage(HOUR, (pool(gpus=1, stays=fixed(1, HOUR), end_s=HOUR),), ()))
    whole = Terms("cloud", rented=(terms,), months=2.0)
    agree(whole, [use, use])
    found = bill_study(whole, [use, use])
    assert [float(total_usd(one.lines)) for one in found.months] == pytest.approx([838.0, 1_130.0])


def test_what_nobody_works_on_costs_nothing_however_long_it_is_up(tmp_path: Path) -> None:
    """Two answers a second of 0.1 s each, one after the other: a fifth of the time, at $2 an hour $292 a month."""
    speed = "engine: {throughput: {output_tokens_per_s: 1000}}, %s"
    each = {name: pools(SOLD % (speed % f"billed: {name}")) for name in ("from_launch", "while_busy")}
    text = chat(
        *(f"{name}: {one}" for name, one in each.items()), study="months: 1", osl=100, tpot_s=1.0, horizon_s=600
    )
    text = text.replace("kind: poisson, rate_rps: 15", "kind: gamma, cv: 0.001, rate_rps: 2")
    run = simulate(written(tmp_path, text), None)
    found = run.summary["topologies"]
    usd = {name: one["cost"]["usd_per_month"] for name, one in found.items()}
    assert usd == pytest.approx({"from_launch": 1_460.0, "while_busy": 292.0}, rel=0.01)
    assert found["while_busy"]["cost"]["unused_share"] == 0
    assert found["while_busy"]["cost"]["chance"]["usd"] == pytest.approx(usd["while_busy"], rel=1e-9), (
        "it goes with requests"
    )
    assert found["from_launch"]["cost"]["chance"]["usd"] == 0
    pairs = run.decision["topologies"]["while_busy"]["break_even"]
    assert pairs[0]["hours_per_day"] is None, "it is paid for its hours of use already"


def test_terms_of_whole_rentals_do_not_go_with_it(tmp_path: Path) -> None:
    def said(more: str) -> Any:
        return refused(tmp_path, pools(SOLD % f"gpus_per_instance: 1, billed: while_busy, {more}"))

    assert "needs billing on_demand or spot" in said("billing: reserved_1y")
    assert "without commitments" in said("commitments: [{term_months: 12, instances: 1, price_usd_per_gpu_hour: 1}]")
    assert "rounds whole rentals, but billed is while_busy: leave it out" in said("billing_granularity_s: 60")
    assert "rounds whole rentals" in said("billing_minimum_s: 60")
    hourly = SOLD.replace("price_usd_per_gpu_hour: 2", f"price_by_hour_usd_per_gpu_hour: {[2] * 24}")
    assert "give the mean as" in refused(tmp_path, pools(hourly % "billed: from_ready"))
    owned = "{name: pool, site: datacentre, gpu: h100-sxm, billing: owned, billed: from_ready}"
    assert "is a term of rented instances, but billing is owned" in refused(tmp_path, pools(owned))


def test_what_the_catalog_says_of_least_times_does_not_round_it(tmp_path: Path) -> None:
    """At a provider that the catalog does not know whole minutes are billed, unless starts or idle time are free."""
    for name, free, rounded_s in (("from_launch", (), 60.0), ("from_ready", READY, 0.0), ("while_busy", BUSY, 0.0)):
        (offer,) = resolve(tmp_path, pools(SOLD % f"gpus_per_instance: 1, billed: {name}")).terms.rented
        assert (offer.free, offer.granularity_s) == (free, rounded_s)


def test_a_provider_that_the_catalog_does_not_know_bills_no_longer_than_most_that_say_it() -> None:
    """Four of five price pages have a second or a minute; whole hours made six minutes ten times as dear."""
    for key in ("billing_minimum", "billing_granularity"):
        known = [getattr(site(name), key) for name in sites()]
        said = [one.value for one in known if one is not None and one.kind == "sourced"]
        below_an_hour = [value for value in said if value < 3600]
        assert len(said) > 5
        assert len(below_an_hour) >= 0.8 * len(said)
        assert getattr(site("elsewhere"), key).value == max(below_an_hour)
