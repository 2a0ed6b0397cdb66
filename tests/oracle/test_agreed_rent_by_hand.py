"""Rented GPUs: a spend that is agreed, and prices by the GPU-hours of a month, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agreement import agree
from bill_cases import fixed, month, pool, rented
from scenario_cases import chat, written
from terms_cases import refused, resolve

from simulator.bill.focus import Resource, focus_frame
from simulator.bill.minimum import saved_usd
from simulator.bill.study import bill_study, settled_terms
from simulator.bill.sums import total_usd
from simulator.bill.volume import at_least, mean_factor
from simulator.decide.break_even import against
from simulator.decide.costed import Costed
from simulator.decide.price_flips import price_flips
from simulator.run.simulate import simulate
from simulator.study.bill import Bill, MonthUse, PeriodUse
from simulator.study.contract import AS_LISTED, Volume, VolumeStep
from simulator.study.decision import Walked
from simulator.study.terms import Commitment, RentedTerms, Span, Terms
from simulator.study.usage import Usage

HOUR = 3600.0
STEPS = (VolumeStep(1_000.0, 0.8), VolumeStep(5_000.0, 0.5))
POOL = "{name: pool, site: lambda, gpu: h100-sxm, %s}"


def used(replicas: int = 1) -> MonthUse:
    """So many of a GPU each, on an instance of its own, all the time: 730 GPU-hours of each."""
    stays = fixed(replicas, HOUR)
    return month(Usage(HOUR, (pool(gpus=1, stays=stays, end_s=HOUR),), ()))


def offer(**changes: Any) -> RentedTerms:
    return rented(usd=2.0, gpus_per_instance=1, **changes)


def bill(terms: RentedTerms, *uses: MonthUse) -> Bill:
    whole = Terms("cloud", rented=(terms,), months=float(len(uses)))
    agree(whole, list(uses))
    return bill_study(whole, list(uses))


def usd(terms: RentedTerms, *uses: MonthUse) -> float:
    return float(total_usd(bill(terms, *uses).lines))


@pytest.mark.parametrize(("least", "lacks"), [(0.0, 0.0), (1_460.0, 0.0), (2_000.0, 540.0)])
def test_what_a_month_of_rent_lacks_of_the_spend_is_paid_and_unused(least: float, lacks: float) -> None:
    """730 hours at $2 are $1,460; of $2,000 they lack $540."""
    found = bill(offer(minimum_usd_per_month=least), used())
    assert float(total_usd(found.lines)) == pytest.approx(1_460.0 + lacks)
    parts = {line.part: float(line.usd) for line in found.lines if line.category == "minimum spend"}
    assert parts == ({"unused": pytest.approx(lacks)} if lacks else {})
    assert float(found.paid_usd.sum()) == pytest.approx(1_460.0 + lacks)


def test_a_month_on_a_step_is_on_it_however_its_periods_are_rounded() -> None:
    """Two GPUs have 1,460 hours a month, and the step holds above them: their periods add up to one rounding more."""
    both = Volume((VolumeStep(1_000.0, 0.8), VolumeStep(1_460.0, 0.5)), True)
    hours = (250.2895704221766, 250.2895704221766, 114.7104295778234, 114.7104295778234)
    rounded = MonthUse(tuple(PeriodUse(used(2).periods[0].usage, part) for part in hours))
    assert sum(hours) > 730.0
    assert usd(offer(volume=both), rounded) == pytest.approx(1_460 * 2.0 * 0.8)


def test_commitments_count_towards_it_and_an_event_changes_it() -> None:
    """An instance under commitment for $1,095 and one on demand for $1,460 lack $445 of $3,000, and $1,445 of 4,000."""
    base = offer(minimum_usd_per_month=3_000.0, commitments=(Commitment(1.5, 1, 1),))
    dearer = replace(base, minimum_usd_per_month=4_000.0, span=Span(2))
    found = bill(replace(base, later=(dearer,)), used(2), used(2))
    assert [float(total_usd(one.lines)) for one in found.months] == pytest.approx([3_000.0, 4_000.0])


@pytest.mark.parametrize(
    ("replicas", "for_all", "dollars"),
    [
        (1, False, 730 * 2.0),
        (10, False, 1_000 * 2.0 + 4_000 * 1.6 + 2_300 * 1.0),
        (1, True, 730 * 2.0),
        (2, True, 1_460 * 1.6),
        (10, True, 7_300 * 1.0),
    ],
)
def test_gpu_hours_of_a_month_fill_the_steps_from_the_first_on(replicas: int, for_all: bool, dollars: float) -> None:
    assert usd(offer(volume=Volume(STEPS, for_all)), used(replicas)) == pytest.approx(dollars)


def test_hours_under_commitment_neither_fill_them_nor_cost_less() -> None:
    """Of ten instances two are under commitment at $1.5: 5,840 hours are left, of which 840 cost half."""
    terms = offer(volume=Volume(STEPS), commitments=(Commitment(1.5, 12, 2),))
    found = bill(terms, *[used(10)] * 12)
    assert float(total_usd(found.lines)) == pytest.approx(1_460 * 1.5 + 1_000 * 2.0 + 4_000 * 1.6 + 840 * 1.0)


@pytest.mark.parametrize("free", [0.0, 800.0])
@pytest.mark.parametrize("steps", [STEPS, (VolumeStep(100.0, 1.3), VolumeStep(900.0, 0.9)), ()])
def test_the_least_bill_lies_below_that_of_any_more_use(steps: tuple[VolumeStep, ...], free: float) -> None:
    volume = Volume(steps, True, free)
    for hours in (50.0, 999.0, 4_000.0, 6_000.0):
        least = hours * mean_factor(at_least(volume), hours)
        assert least > 0 or hours <= free
        for more in (hours, hours + 1, 1_000.0, 1_001.0, 5_001.0, 20_000.0):
            assert more < hours or least <= more * mean_factor(volume, more) * (1 + 1e-12)
    assert at_least(Volume(steps, False, free)) == Volume(steps, False, free)


@pytest.mark.parametrize(("mode", "replicas", "dollars"), [("all_hours", 4, 584.0), ("graduated", 1, 1_460.0)])
def test_a_search_finds_that_more_costs_less(tmp_path: Path, mode: str, replicas: int, dollars: float) -> None:
    """One replica holds the SLO for $1,460; above 2,500 hours all cost a tenth, so four are 2,920 hours at 20 cents."""
    steps = f"volume_prices: {{mode: {mode}, steps: [{{above_gpu_hours_per_month: 2500, price_factor: 0.1}}]}}"
    one = POOL % f"replicas: auto, gpus_per_instance: 1, price_usd_per_gpu_hour: 2, storage_gb: 0, {steps}"
    text = chat(f"rent: {{pools: [{one}]}}", study="months: 1", tpot_s=1.0, horizon_s=60)
    found = simulate(written(tmp_path, text.replace("rate_rps: 15", "rate_rps: 2")), None).summary["topologies"]["rent"]
    assert found["replicas"] == [replicas, replicas]
    assert found["cost"]["usd_per_month"] == pytest.approx(dollars, rel=0.01), "traffic costs some cents"


def costed(name: str, terms: RentedTerms, *uses: MonthUse) -> Costed:
    whole = Terms(name, rented=(terms,), months=float(len(uses)))
    walked = tuple(Walked(k + 1, ((1.0,),), (), True, 1.0, "", ()) for k in range(len(uses)))
    return Costed(name, whole, walked, uses, bill_study(whole, list(uses)), ())


def test_what_flips_it_knows_that_the_spend_is_bent() -> None:
    """Agreed are $2,000 for rent of $1,460, a rival asks $1,600: at × 1.25 it is as dear, and the spend still holds."""
    mine = costed("agreed", offer(minimum_usd_per_month=2_000.0), used())
    rival = costed("plain", rented(usd=1_600 / 730, gpus_per_instance=1), used())
    found = {flip.assumption: flip for flip in price_flips([mine, rival], {"plain"}, lambda *_: None, {})}
    assert found["price of rented GPUs"].factor == pytest.approx(1.25, rel=2e-3)


@pytest.mark.parametrize("change", [{"minimum_usd_per_month": 10.0}, {"volume": Volume(STEPS)}])
def test_hours_of_use_are_not_asked_of_it(change: dict[str, Any]) -> None:
    plain = costed("plain", rented(usd=3.0, gpus_per_instance=1), used())
    assert against(costed("mine", offer(), used()), plain).hours_per_day is not None
    found = against(costed("mine", offer(**change), used()), plain)
    assert (found.hours_per_day, found.hours_below) == (None, None)


def test_its_bill_is_one_for_machines() -> None:
    lines = bill(offer(minimum_usd_per_month=2_000.0), used()).lines
    frame = focus_frame(lines, [Resource("a provider", "us")] * len(lines), "scenario", "topology")
    told = frame.set_index("ServiceName")
    assert told.loc["minimum spend", ["ServiceCategory", "EffectiveCost", "ChargeFrequency"]].tolist() == [
        *("Compute", 540.0, "Recurring")
    ]


def test_what_is_written_is_what_is_agreed(tmp_path: Path) -> None:
    said = (
        "minimum_usd_per_month: 5000, volume_prices: {mode: all_hours, "
        "steps: [{above_gpu_hours_per_month: 1000, price_factor: 0.8}]}"
    )
    found = resolve(tmp_path, f"{{pools: [{POOL % said}]}}")
    (terms,) = found.terms.rented
    assert (terms.minimum_usd_per_month, terms.volume) == (5_000.0, Volume((VolumeStep(1_000.0, 0.8),), True))
    told = {figure.id.rpartition("pools[0].")[2]: figure.value for figure in found.figures}
    assert (told["minimum_usd_per_month"], told["volume_prices.steps[0].price_factor"]) == (5_000.0, 0.8)
    (plain,) = resolve(tmp_path, f"{{pools: [{POOL % 'replicas: 1'}]}}").terms.rented
    assert (plain.minimum_usd_per_month, plain.volume) == (0.0, AS_LISTED)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("billing: owned, minimum_usd_per_month: 5", "minimum_usd_per_month: is a term of rented instances"),
        ("commitments: auto, minimum_usd_per_month: 5", "minimum_usd_per_month: needs commitments of a number"),
        (
            "commitments: [{term_months: 12, price_usd_per_gpu_hour: 1}], volume_prices: "
            "{steps: [{above_gpu_hours_per_month: 9, price_factor: 1}]}",
            "volume_prices: needs commitments of a number",
        ),
        (
            "volume_prices: {steps: [{above_gpu_hours_per_month: 9, price_factor: 1}, "
            "{above_gpu_hours_per_month: 8, price_factor: 1}]}",
            "volume_prices.steps[1].above_gpu_hours_per_month: must be above that of the step before (9)",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, said: str, told: str) -> None:
    assert told in refused(tmp_path, f"{{pools: [{POOL % said}]}}")


@pytest.mark.parametrize(("least", "saved"), [(0.0, 146.0), (1_500.0, 106.0), (2_000.0, 0.0)])
def test_work_that_would_take_a_tenth_more_costs_nothing_more_up_to_the_spend(least: float, saved: float) -> None:
    terms = offer(minimum_usd_per_month=least)
    assert saved_usd(terms, bill(terms, used()).lines, 146.0) == pytest.approx(saved)
    owed = replace(terms, commitments=(Commitment(2.0, 12, 1),))
    assert saved_usd(owed, bill(owed, used()).lines, 146.0) == pytest.approx(saved), "what is owed later apart"


@pytest.mark.parametrize(
    ("rate", "upfront", "starts"),
    # of 36 months at $1,460, 24 at $876: the first or the last are the same $38,544, and the first leave the dearer
    # months for later, also paid upfront: a year of $21,024 is less than two years of 12 · $1,460
    [(0.0, 0.0, 0), (0.08, 0.0, 0), (0.08, 1.0, 0)],
)
def test_of_terms_that_cost_the_same_those_of_the_lower_present_value_begin(
    rate: float, upfront: float, starts: int
) -> None:
    term = Commitment(1.2, 24, None, upfront)
    whole = Terms("cloud", rented=(offer(commitments=(term,)),), months=36.0, discount_rate_per_year=rate)
    uses = [used()] * 36
    agree(whole, uses)
    found = bill_study(whole, uses)
    assert float(total_usd(found.lines)) == pytest.approx((24 * 876 + 12 * 1_460) / 36)
    (entered,) = settled_terms(whole, uses).rented[0].commitments
    assert entered.begins == ((starts, 1),)
    on_demand = sum(1_460 * (1 + rate) ** (-(k + 1) / 12) for k in range(36) if not starts <= k < starts + 24)
    at_once = 21_024 * (1 + rate) ** (-starts / 12)
    by_month = sum(876 * (1 + rate) ** (-(starts + k + 1) / 12) for k in range(24))
    assert float(found.npv_usd) == pytest.approx(on_demand + (at_once if upfront else by_month))
