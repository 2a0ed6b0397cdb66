"""Rented GPUs as they are sold: whole instances, minimum times, commitments to the end of their term."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import HOUR_S, fixed, month, pool, rented
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.commitments import most_committed
from simulator.bill.study import bill_study, settled_terms
from simulator.bill.sums import total_usd
from simulator.errors import InvariantError
from simulator.study.bill import Bill
from simulator.study.terms import Commitment, RentedTerms, Terms
from simulator.study.usage import Stay, Usage


def bill_of(offer: RentedTerms, stays: tuple[Stay, ...], months: float = 1.0, gpus: int = 4) -> Bill:
    usage = Usage(2 * HOUR_S, (pool(gpus=gpus, stays=stays),), ())
    return bill_study(Terms("cloud", rented=(offer,), months=months), [month(usage)] * int(np.ceil(months)))


def test_one_replica_of_four_gpus_pays_for_the_instance_of_eight() -> None:
    bill = bill_of(rented(), fixed(1))
    assert total_usd(bill.lines) == pytest.approx(730 * 55.04)
    hours = {line.part: line.quantity for line in bill.lines}
    assert hours == pytest.approx({"busy": 0.6 * 4 * 730, "idle": 0.4 * 4 * 730, "unused": 4 * 730})


def test_two_replicas_on_one_instance_pay_for_it_once() -> None:
    assert total_usd(bill_of(rented(), fixed(2, per_server=2)).lines) == pytest.approx(730 * 55.04)
    assert total_usd(bill_of(rented(), fixed(2)).lines) == pytest.approx(2 * 730 * 55.04)


@pytest.mark.parametrize(
    ("minimum_s", "granularity_s", "billed_s"),
    [(0, 0, 500), (600, 0, 600), (60, 0, 500), (0, 60, 540), (0, HOUR_S, HOUR_S), (4_000, HOUR_S, 2 * HOUR_S)],
)
def test_each_stay_is_rounded_as_it_is_sold(minimum_s: float, granularity_s: float, billed_s: float) -> None:
    offer = rented(minimum_s=minimum_s, granularity_s=granularity_s)
    stays = (Stay(0, 0, "serving", 6_000.0, 6_500.0),)
    assert total_usd(bill_of(offer, stays).lines) == pytest.approx(730 * 55.04 * billed_s / (2 * HOUR_S))


def test_a_stay_that_the_simulation_cuts_is_billed_as_it_is() -> None:
    offer = rented(minimum_s=HOUR_S, granularity_s=HOUR_S)
    for stays in ((Stay(0, 0, "serving", 0.0, 500.0),), (Stay(0, 0, "serving", 6_700.0, 7_200.0),)):
        assert total_usd(bill_of(offer, stays).lines) == pytest.approx(730 * 55.04 * 500 / (2 * HOUR_S))


@pytest.mark.parametrize(
    ("launched_s", "end_s", "billed_s"),
    [
        (3_000.0, 4_000.0, HOUR_S - 600.0),  # 1,000 s in all, paid for an hour, 600 s of it before the window
        (1_000.0, 5_000.0, 2 * HOUR_S - 2_600.0),
        (3_000.0, 10_800.0, HOUR_S * 2),  # goes on beyond the window
    ],
)
def test_a_rental_that_crosses_into_the_window_pays_its_minimum_where_it_ends(
    launched_s: float, end_s: float, billed_s: float
) -> None:
    offer = rented(minimum_s=HOUR_S, granularity_s=HOUR_S)
    stays = (Stay(0, 0, "serving", HOUR_S, end_s),)
    used = replace(pool(gpus=4, stays=stays), before_s=((0, launched_s),))
    usage = Usage(3 * HOUR_S, (used,), (), (), HOUR_S)
    bill = bill_study(Terms("cloud", rented=(offer,), months=1.0), [month(usage)])
    assert total_usd(bill.lines) == pytest.approx(730 * 55.04 * billed_s / (2 * HOUR_S))


def test_a_replica_that_follows_on_the_same_instance_goes_on_with_it_and_a_later_one_rents_anew() -> None:
    offer = rented(granularity_s=1_000.0)
    follows = (Stay(0, 0, "serving", 100.0, 600.0), Stay(1, 0, "serving", 600.0, 1_100.0))
    later = (Stay(0, 0, "serving", 100.0, 600.0), Stay(1, 0, "serving", 700.0, 1_200.0))
    assert total_usd(bill_of(offer, later).lines) == pytest.approx(2 * float(total_usd(bill_of(offer, follows).lines)))


def test_a_commitment_outlasts_the_study_and_is_paid_to_its_end() -> None:
    offer = rented(commitments=(Commitment(20.0, 36, 1),))
    bill = bill_of(offer, fixed(1), months=24)
    usd = 730 * 20.0
    assert bill.paid_usd.sum() == pytest.approx(36 * usd)
    assert bill.months[-1].liability_usd == pytest.approx(12 * usd)
    assert bill.months[0].liability_usd == pytest.approx(35 * usd)
    lines = {line.part: line.usd for line in bill.lines}
    assert lines["after the study"] == pytest.approx(12 * usd / 24)
    assert 24 * float(total_usd(bill.lines)) == pytest.approx(36 * usd)
    assert bill.at_months[-1] == 36.0


def test_a_commitment_that_is_renewed_owes_nothing_between_its_terms() -> None:
    offer = rented(commitments=(Commitment(20.0, 12, 1, upfront_share=1.0),))
    bill = bill_of(offer, fixed(1), months=24)
    paid = {time: usd for time, usd in zip(bill.at_months, bill.paid_usd, strict=True) if usd}
    assert paid == pytest.approx({0.0: 12 * 730 * 20.0, 12.0: 12 * 730 * 20.0})
    assert all(found.liability_usd == 0 for found in bill.months)


def test_use_above_the_commitment_is_on_demand_and_unused_commitment_is_paid() -> None:
    stays = (*fixed(1), Stay(1, 1, "serving", 1_800.0, 5_400.0))
    one = bill_of(rented(commitments=(Commitment(20.0, 12, 1),)), stays, months=12)
    assert total_usd(one.lines) == pytest.approx(730 * 20.0 + 365 * 55.04)
    two = bill_of(rented(commitments=(Commitment(20.0, 12, 2),)), stays, months=12)
    assert total_usd(two.lines) == pytest.approx(2 * 730 * 20.0)
    parts = {line.part: line.quantity for line in two.lines}
    assert sum(parts.values()) == pytest.approx(2 * 8 * 730)
    assert parts["unused"] == pytest.approx(2 * 8 * 730 - 1.5 * 4 * 730)


@pytest.mark.parametrize(("price", "count"), [(60.0, 0), (55.0, 1), (30.0, 1), (27.0, 2), (13.0, 3), (1.0, 3)])
def test_as_many_are_committed_as_cost_less_than_on_demand(price: float, count: int) -> None:
    """Instances are there for all, half and a quarter of the time, at 55.04 an hour."""
    stays = (*fixed(1), Stay(1, 1, "serving", 0.0, 3_600.0), Stay(2, 2, "serving", 0.0, 1_800.0))
    offer = rented(commitments=(Commitment(price, 12, None),))
    usage = Usage(2 * HOUR_S, (pool(stays=stays),), ())
    terms = Terms("cloud", rented=(offer,), months=12)
    assert most_committed(settled_terms(terms, [month(usage)] * 12).rented[0]) == count


@pytest.mark.parametrize("rate", [0.0, 0.08])
def test_of_equal_sums_the_term_comes_before_the_months_on_demand(rate: float) -> None:
    """Twelve months at 20 and two at 55.04 an hour, in the order that leaves the dearer months for last."""
    offer = rented(commitments=(Commitment(20.0, 12, None),))
    terms = Terms("cloud", rented=(offer,), months=14, discount_rate_per_year=rate)
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1)),), ())
    (term,) = settled_terms(terms, [month(usage)] * 14).rented[0].commitments
    assert term.begins == ((0, 1),)


@pytest.mark.parametrize("upfront_share", [0.0, 1.0])
def test_nothing_is_committed_where_a_term_costs_what_the_months_do(upfront_share: float) -> None:
    offer = rented(commitments=(Commitment(55.04, 12, None, upfront_share=upfront_share),))
    terms = Terms("cloud", rented=(offer,), months=12, discount_rate_per_year=0.0)
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1)),), ())
    assert most_committed(settled_terms(terms, [month(usage)] * 12).rented[0]) == 0


@settings(deadline=None, max_examples=40)
@given(
    used=st.lists(st.sampled_from([0.0, 0.3, 0.7, 1.0]), min_size=5, max_size=5),
    short=st.floats(10.0, 60.0),
    long=st.floats(10.0, 60.0),
    last=st.floats(0.2, 1.0),
)
def test_no_other_terms_of_one_instance_cost_less(used: list[float], short: float, long: float, last: float) -> None:
    """Five months, terms of two and three of them: every way to begin them is tried."""
    months = [
        month(Usage(HOUR_S, (pool(stays=(Stay(0, 0, "serving", 0.0, share * HOUR_S),), end_s=HOUR_S),), ()))
        for share in used
    ]
    offer = rented(commitments=(Commitment(short, 2), Commitment(long, 3)))
    terms = Terms("cloud", rented=(offer,), months=4.0 + last)

    def usd(begins: tuple[tuple[tuple[int, int], ...], ...]) -> float:
        found = tuple(replace(one, begins=own) for one, own in zip(offer.commitments, begins, strict=True))
        bill = bill_study(replace(terms, rented=(replace(offer, commitments=found),)), months)
        return terms.months * float(total_usd(bill.lines))

    def ways(start: int) -> list[tuple[tuple[int, int], ...]]:
        """(length, start) of terms one after the other, from a month on."""
        if start >= 5:
            return [()]
        return [
            *ways(start + 1),
            *(((length, start), *rest) for length in (2, 3) for rest in ways(start + length)),
        ]

    every = [
        usd(tuple(tuple((start, 1) for months, start in way if months == length) for length in (2, 3)))
        for way in ways(0)
    ]
    chosen = terms.months * float(total_usd(bill_study(terms, months).lines))
    assert chosen == pytest.approx(min(every), rel=1e-6)


def test_prices_of_a_month_and_of_a_term() -> None:
    offer = rented(commitments=(Commitment(20.0, 2, 1),))
    stays = (*fixed(1), Stay(1, 1, "serving", 0.0, 2 * HOUR_S))
    usage = Usage(2 * HOUR_S, (pool(stays=stays),), ())
    index = np.array([1.0, 2.0, 3.0, 4.0])
    bill = bill_study(Terms("cloud", rented=(offer,), months=3, rental_index=index), [month(usage)] * 3)
    paid = [{line.category: 0.0 for line in found.lines} for found in bill.months]
    for k, found in enumerate(bill.months):
        for line in found.lines:
            if line.part != "after the study":
                paid[k][line.category] += float(line.usd)
    assert [found["on demand"] for found in paid] == pytest.approx([730 * 55.04 * k for k in (2, 3, 4)])
    assert [found["committed"] for found in paid] == pytest.approx([730 * 20.0 * k for k in (1, 1, 3)])


def test_replicas_without_a_stay_are_a_broken_ledger() -> None:
    usage = Usage(2 * HOUR_S, (pool(stays=fixed(1), billed_s=7_200.0, busy_s=20_000.0),), ())
    with pytest.raises(InvariantError, match="replicas held"):
        bill_study(Terms("cloud", rented=(rented(),), months=1), [month(usage)])
