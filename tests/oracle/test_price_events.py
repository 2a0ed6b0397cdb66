"""A price that an event changes: terms that run are paid as they began, those that begin then at the new price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import agree, second_bill
from bill_cases import HOUR_S, fixed, month, pool, rented
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_cases import written
from test_events import SCENARIO

from simulator.bill.study import bill_study
from simulator.run.simulate import simulate
from simulator.study.terms import Commitment, RentedTerms, Span, Terms
from simulator.study.usage import Usage

POOL = "topologies.rent.pools[base]"
RESERVED = (
    f"{POOL}.billing=reserved",
    f"{POOL}.term_months=6",
    f"{POOL}.on_demand_usd_per_gpu_hour=5.0",
    f"{POOL}.gpus_per_instance=1",
)


def usd_by_month(folder: Path, change: str, *sets: str, first: int = 4) -> list[float]:
    event = (
        f"events: [{{name: cut, from_month: {first}, topology: rent, change: {{pools: [{{name: base, {change}}}]}}}}]"
    )
    found = simulate(written(folder, SCENARIO.replace("EVENTS", event), *sets), folder)
    study = second_bill(found.bundle, "rent")
    cost = found.summary["topologies"]["rent"]["cost"]
    assert study.npv() == pytest.approx(-cost["npv_usd"], rel=1e-9)
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(cost["usd_per_month"], rel=1e-9)
    return [one["usd"] / 730 for one in found.decision["topologies"]["rent"]["months"]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("price_usd_per_gpu_hour: 3.0", [4.0] * 6 + [3.0] * 6),
        ("price_usd_per_gpu_hour: 4.5", [4.0] * 6 + [4.5] * 6),
        ("on_demand_usd_per_gpu_hour: 2.0", [4.0] * 12),
        ("price_usd_per_gpu_hour: 3.0, commitments: 2", [4.75] * 3 + [7.75] * 3 + [6.75] * 6),
        ("storage_gb: 730, storage_usd_per_gb_month: 0.5", [4.0] * 3 + [4.5] * 9),
        ("replicas: 2, on_demand_usd_per_gpu_hour: 2.0, commitments: 1", [4.0] * 3 + [6.0] * 9),
        ("term_months: 3, price_usd_per_gpu_hour: 3.0", [4.0] * 6 + [3.0] * 6),
        ("term_months: 12, price_usd_per_gpu_hour: 3.0", [5.5] * 6 + [4.5] * 6),
        ("term_months: 3, commitments: 2", [4.0] * 3 + [8.0] * 9),
    ],
)
def test_a_running_term_goes_on_at_its_price_and_is_renewed_at_the_new_one(
    tmp_path: Path, change: str, expected: list[float]
) -> None:
    """One GPU under terms of six months at $4 an hour; what an event in month 4 changes of it, by hand.

    A second one from month 4 on has three months of its second term beyond the study: 3 * $3 / 12 in each month. Terms
    of another length begin as the ones that run end: of a year in month 7, with half of it beyond the study.
    """
    assert usd_by_month(tmp_path, change, *RESERVED) == pytest.approx(expected, rel=1e-6)


LISTED = (f"{POOL}.gpus_per_instance=1",)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((6, 3.0, 1), [(6, 3.0, 1), (12, 2.0, 0)], [3.0] * 12),
        ((6, 3.0, 1), [(6, 3.0, 0), (12, 2.0, 1)], [3.5] * 3 + [5.5] * 3 + [2.5] * 6),
        ((6, 3.0, "auto"), [(6, 3.0, "auto"), (12, 1.0, "auto")], [4.25] * 3 + [1.25] * 9),
        ((6, 3.0, "auto"), [(6, 3.0, "auto"), (12, 2.5, "auto")], [3.0] * 12),
        ((6, 3.0, 1), [(12, 2.0, 1)], [3.5] * 3 + [5.5] * 3 + [2.5] * 6),
        ((6, 3.0, 1), [], [3.0] * 6 + [4.0] * 6),
    ],
)
def test_a_further_length_of_terms_leaves_those_that_run(
    tmp_path: Path, before: tuple[int, float, Any], after: list[tuple[int, float, Any]], expected: list[float]
) -> None:
    """One GPU for $4 on demand; what an event in month 4 makes of its list of terms, by hand.

    Of a term of a year that begins in month 4 three months are beyond the study: a quarter of its price in each month.
    Numbers that are open are chosen by the prices of all months: it is worth waiting for a year at $1.
    """

    def listed(rows: list[tuple[int, float, Any]]) -> str:
        keys = "{{term_months: {}, price_usd_per_gpu_hour: {}, instances: {}, upfront_share: 0.0}}"
        return f"[{', '.join(keys.format(*row) for row in rows)}]"

    sets = (*LISTED, f"{POOL}.commitments={listed([before])}")
    assert usd_by_month(tmp_path, f"commitments: {listed(after)}", *sets) == pytest.approx(expected, rel=1e-6)


def test_another_number_stays_on_the_instances_agreed(tmp_path: Path) -> None:
    """Two replicas alone would be on one instance of two GPUs; the first is under terms on an instance of one."""
    change = "replicas: 2, commitments: 1, on_demand_usd_per_gpu_hour: 2.0"
    assert usd_by_month(tmp_path, change, *RESERVED[:-1]) == pytest.approx([4.0] * 3 + [6.0] * 9, rel=1e-6)


def test_another_gpu_is_another_offer(tmp_path: Path) -> None:
    """What runs is left behind, and paid beside the new terms."""
    found = usd_by_month(tmp_path, "gpu: h200, price_usd_per_gpu_hour: 3.0", *RESERVED)
    assert found == pytest.approx([4.75] * 3 + [7.75] * 3 + [3.75] * 6, rel=1e-6)


@pytest.mark.parametrize(
    ("first", "expected"),
    [(4, [4.0] * 9 + [5.0] * 3), (6, [3.0] * 5 + [7.0] + [4.0] * 5 + [5.0]), (7, [3.0] * 6 + [4.0] * 6)],
)
def test_open_numbers_are_chosen_for_the_months_of_each_gpu_and_paid_to_their_end(
    tmp_path: Path, first: int, expected: list[float]
) -> None:
    """Six months at $3 beside $4 on demand; from the event on another GPU, six at $4 beside $5.

    Three months of the first GPU are not worth a term ($12 on demand, $18), five are ($20), and the sixth is then paid
    beside the new one. Of nine or seven months of the other GPU six are under a term, the rest on demand.
    """
    term = "[{{term_months: 6, price_usd_per_gpu_hour: {}, instances: auto, upfront_share: 0.0}}]"
    change = f"gpu: h200, price_usd_per_gpu_hour: 5.0, commitments: {term.format(4.0)}"
    sets = (*LISTED, f"{POOL}.commitments={term.format(3.0)}")
    assert usd_by_month(tmp_path, change, *sets, first=first) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "arriving"),
    [
        ("electricity_usd_per_kwh: 0.5", [1] + [0] * 11),
        ("space_usd_per_kw_month: 500", [1] + [0] * 11),
        ("spares: 1", [1, 0, 0, 1] + [0] * 8),
    ],
)
def test_servers_stay_where_an_event_changes_what_else_is_paid_for_them(
    tmp_path: Path, change: str, arriving: list[int]
) -> None:
    """No server is sold and bought again for dearer electricity; a further spare is one more server."""
    event = (
        "events: [{name: dearer, from_month: 4, topology: own, change: {servers: [{name: old, site: datacentre, "
        f"gpu: h100-sxm, {change}}}]}}}}]"
    )
    found = simulate(written(tmp_path, SCENARIO.replace("EVENTS", event)), tmp_path)
    plain = simulate(written(tmp_path, SCENARIO.replace("EVENTS", "growth_per_year: 0")), tmp_path)
    months, before = (one.decision["topologies"]["own"]["months"] for one in (found, plain))
    assert [month["arriving"] for month in months] == arriving
    paid = [month["paid_usd"] - other["paid_usd"] for month, other in zip(months, before, strict=True)]
    assert paid[:2] == pytest.approx([0.0, 0.0])
    assert all(usd > 0 for usd in paid[3:11])
    assert paid[3:11] == pytest.approx([paid[3]] * 8)
    if arriving[3]:
        assert paid[2] == pytest.approx(101_000), "bought at the end of month 3"
    study = second_bill(found.bundle, "own")
    cost = found.summary["topologies"]["own"]["cost"]
    assert study.npv() == pytest.approx(-cost["npv_usd"], rel=1e-9)
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(cost["usd_per_month"], rel=1e-9)
    assert not [row for row in study.mean_lines() if row["part"] == "sold early" and abs(row["usd"]) > 1e-9]


HARDWARE_USD = 95_000 / 60


@pytest.mark.parametrize(
    ("sets", "change", "hardware", "once"),
    [
        ((), "capex_usd: 60000", [HARDWARE_USD] * 12, {}),
        ((), "life_years: 2, residual_share: 0.5", [HARDWARE_USD] * 12, {}),
        (
            (),
            "capex_usd: 60000, spares: 1",
            [HARDWARE_USD] * 3 + [HARDWARE_USD + 57_000 / 60] * 9,
            {3: 61_000, 12: -60_000 * 0.85},
        ),
        (
            ("topologies.own.servers[old].life_years=0.5",),
            "capex_usd: 60000, install_usd: 0",
            [95_000 / 6] * 6 + [57_000 / 6] * 6,
            {6: 60_000 - 5_000 - (101_000 - 5_000), 12: 5_000 - 3_000},
        ),
    ],
)
def test_an_event_prices_later_purchases_alone(
    tmp_path: Path, sets: tuple[str, ...], change: str, hardware: list[float], once: dict[int, float]
) -> None:
    """What is owned stays as it was bought; a further server, and one that replaces it, costs the new price.

    By hand, with 5 % left after a life of five years, or of half a one; `once` is what is paid beside the study without
    the event. Nine months of five years leave 85 % of a price, linear to the 80 % of one year.
    """
    ages = "cost.overrides={onprem.residual_fraction.12m: 0.8}"
    event = (
        "events: [{name: price, from_month: 4, topology: own, change: {servers: [{name: old, site: datacentre, "
        f"gpu: h100-sxm, {change}}}]}}}}]"
    )
    found, plain = (
        simulate(written(tmp_path, SCENARIO.replace("EVENTS", text), ages, *sets), tmp_path)
        for text in (event, "growth_per_year: 0")
    )
    study = second_bill(found.bundle, "own")
    usd = [sum(row["usd"] for row in study.lines(k) if row["category"] == "hardware") for k in range(12)]
    assert usd == pytest.approx(hardware)
    then, before = ({}, {})
    for paid, one in ((then, study), (before, second_bill(plain.bundle, "own"))):
        one.owned[0].pay(paid)
    changed = {at: usd - before.get(at, 0.0) for at, usd in then.items() if abs(usd - before.get(at, 0.0)) > 1e-6}
    assert changed == pytest.approx(once)
    cost = found.summary["topologies"]["own"]["cost"]
    assert study.npv() == pytest.approx(-cost["npv_usd"], rel=1e-9)
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(cost["usd_per_month"], rel=1e-9)


def test_the_clocks_of_a_tariff_that_an_event_brings_are_told(tmp_path: Path) -> None:
    """One price before, 24 from month 4 on, by the clocks of the servers and not of the run."""
    servers = (
        "[{name: old, site: datacentre, gpu: h100-sxm, time_zone: Asia/Tokyo, "
        f"electricity_by_hour_usd_per_kwh: {[0.1] * 12 + [0.3] * 12}}}]"
    )
    event = f"events: [{{name: tariff, from_month: 4, topology: own, change: {{servers: {servers}}}}}]"
    text = SCENARIO.replace("EVENTS", event)
    found = simulate(written(tmp_path, text, "run.start=2026-03-02 8:00"), tmp_path)
    texts = [warning["text"] for warning in found.summary["topologies"]["own"]["warnings"]]
    words = "electricity by the hour goes by Asia/Tokyo at datacentre, the run by UTC: servers may say time_zone"
    assert texts.count(words) == 1


def auto(prices: tuple[float, float], then: tuple[float, float], first: int) -> Terms:
    """One instance all the time: on demand, or for terms of six months, at prices that change once."""

    def offer(on_demand: float, committed: float) -> RentedTerms:
        return rented(usd=on_demand, commitments=(Commitment(committed, 6),))

    later = replace(offer(*then), span=Span(first))
    return Terms("cloud", rented=(replace(offer(*prices), later=(later,)),), months=18.0)


@pytest.mark.parametrize(
    ("prices", "then", "first", "expected"),
    [
        ((10.0, 8.0), (10.0, 8.0), 7, [8.0] * 18),
        ((10.0, 8.0), (7.0, 8.0), 7, [8.0] * 6 + [7.0] * 12),
        ((10.0, 8.0), (9.0, 5.0), 4, [8.0] * 6 + [5.0] * 12),
        ((10.0, 12.0), (10.0, 5.0), 7, [10.0] * 6 + [5.0] * 12),
    ],
)
def test_the_number_that_costs_least_is_found_at_the_price_of_each_month(
    prices: tuple[float, float], then: tuple[float, float], first: int, expected: list[float]
) -> None:
    """Committed where that is worth it, on demand from the month in which it is not."""
    terms = auto(prices, then, first)
    use = month(Usage(2 * HOUR_S, (pool("pool", 8, fixed(1)),), ()))
    agree(terms, [use] * 18)
    bill = bill_study(terms, [use] * 18)
    found = [sum(line.usd for line in one.lines if line.part != "after the study") / 730 for one in bill.months]
    assert found == pytest.approx(expected)


TERMS = (1, 3, 7)


@settings(deadline=None, max_examples=100)
@given(
    prices=st.lists(
        st.tuples(st.floats(5.0, 70.0), st.lists(st.floats(5.0, 70.0), min_size=3, max_size=3), st.integers(2, 12)),
        min_size=1,
        max_size=3,
    ),
    numbers=st.lists(st.sampled_from([None, 0, 1, 2]), min_size=3, max_size=3),
    busy=st.lists(st.integers(0, 3), min_size=14, max_size=14),
    upfront=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3),
    months=st.floats(0.5, 14.0),
    drift=st.sampled_from([0.97, 1.0]),
)
def test_any_prices_over_time_cost_the_same_by_both(
    prices: list[tuple[float, list[float], int]],
    numbers: list[int | None],
    busy: list[int],
    upfront: list[float],
    months: float,
    drift: float,
) -> None:
    def offer(which: int) -> RentedTerms:
        usd, committed, first = prices[which]
        several = zip(committed, TERMS, numbers, strict=True)
        found = rented(
            usd=usd,
            minimum_s=HOUR_S * which,
            commitments=tuple(Commitment(p, term, n, upfront[which]) for p, term, n in several),
        )
        return replace(found, span=Span(first)) if which else found

    later = sorted((offer(k) for k in range(1, len(prices))), key=lambda one: one.span.first)
    count = int(np.ceil(months))
    uses = {n: month(Usage(2 * HOUR_S, (pool("pool", stays=fixed(n)),), ())) for n in set(busy)}
    terms = Terms("cloud", rented=(replace(offer(0), later=tuple(later)),), months=months, discount_rate_per_year=0.1)
    agree(replace(terms, rental_index=drift ** np.arange(count + 1)), [uses[n] for n in busy[:count]])


def test_a_later_offer_with_the_same_prices_changes_no_cent() -> None:
    use = month(Usage(2 * HOUR_S, (pool("pool", 8, fixed(2)),), ()))
    one = rented(usd=10.0, commitments=(Commitment(8.0, 7, 1, 0.5), Commitment(7.0, 12)))
    both = (
        Terms("cloud", rented=(offer,), months=30.0)
        for offer in (one, replace(one, later=(replace(one, span=Span(9)),)))
    )
    first, second = (bill_study(terms, [use] * 30) for terms in both)
    assert [line.usd for line in first.lines] == [line.usd for line in second.lines]
    assert first.npv_usd == second.npv_usd
