"""Laws of the bill: draws at base values are the bill, order and names change nothing, scale scales, sums add up."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bill_cases import API, FEES, HOUR_S, STAFF, fixed, month, owned, pool, provider, rented, servers
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.cash import payback_months
from simulator.bill.cents import whole_cents
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.money import amount, money
from simulator.study.bill import Bill, Line
from simulator.study.terms import Commitment, Terms
from simulator.study.usage import PoolUsage, Stay, Usage


def usage(times: int = 1) -> Usage:
    """A site, a rented pool and an API, all `times` as large."""
    burst = tuple(Stay(k, k, "serving", 600.0, 6_000.0) for k in range(times))
    return Usage(
        2 * HOUR_S,
        (pool("base", stays=fixed(2 * times, per_server=2)), pool("burst", stays=burst)),
        (provider(times * np.array([[[10**9, 10**8, 0, 10**8]]])),),
        (servers(times, ["base"]),),
    )


TERMS = Terms(
    "hybrid",
    owned=(owned(("base",), spares=None, spare_share=1.0),),
    rented=(rented("burst", commitments=(Commitment(20.0, 12, 1, 0.3),)),),
    apis=(replace(API, residency_premium=0.1),),
    staff=(STAFF,),
    fees=FEES,
    discount_rate_per_year=0.08,
    months=14.0,
)


def drawn(noun: Any, n: int) -> Any:
    """The same terms with each price drawn n times at its value."""
    if not dataclasses.is_dataclass(noun) or isinstance(noun, type):
        return noun
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(noun):
        value = getattr(noun, field.name)
        if field.type == "Money":
            changes[field.name] = np.full(n, float(value))
        elif field.type == "tuple[Money, ...]":
            changes[field.name] = tuple(np.full(n, float(item)) for item in value)
        elif field.name.endswith("_index"):
            changes[field.name] = np.repeat(value[:, None], n, axis=1)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(drawn(item, n) for item in value)
        else:
            changes[field.name] = drawn(value, n)
    return replace(noun, **changes)


def test_draws_at_base_values_are_the_bill() -> None:
    index = 0.99 ** np.arange(15)
    terms = replace(TERMS, rental_index=index, token_index=index)
    months = [month(usage(1))] * 7 + [month(usage(2))] * 7
    plain, draws = bill_study(terms, months), bill_study(drawn(terms, 3), months)
    assert [(line.owner, line.category, line.part) for line in draws.lines] == [
        (line.owner, line.category, line.part) for line in plain.lines
    ]
    for one, many in zip(plain.lines, draws.lines, strict=True):
        np.testing.assert_allclose(many.usd, np.full(3, one.usd), rtol=1e-12)
        assert many.quantity == pytest.approx(one.quantity, rel=1e-12)
    np.testing.assert_allclose(draws.paid_usd, np.repeat(plain.paid_usd[:, None], 3, axis=1), rtol=1e-12)
    np.testing.assert_allclose(draws.npv_usd, np.full(3, plain.npv_usd), rtol=1e-12)
    assert whole_cents(plain.lines)


def test_a_drawn_price_moves_its_own_lines_alone() -> None:
    capex = np.array([200_000.0, 250_000.0, 300_000.0])
    site = TERMS.owned[0]
    terms = replace(TERMS, fees=(), owned=(replace(site, server=replace(site.server, capex_usd=capex)),))
    found = bill_study(terms, [month(usage())] * 14)
    moved = {line.category for line in found.lines if np.ptp(line.usd) > 0}
    assert moved == {"hardware", "network and storage", "maintenance"}


def test_twice_of_everything_costs_twice() -> None:
    offer = replace(TERMS.rented[0], commitments=())
    terms = replace(TERMS, rented=(offer,), staff=(), fees=())
    one, two = (bill_study(terms, [month(usage(times))] * 14) for times in (1, 2))
    for small, large in zip(one.lines, two.lines, strict=True):
        assert large.usd == pytest.approx(2 * small.usd)
    assert two.npv_usd == pytest.approx(2 * one.npv_usd)


def test_order_of_pools_and_names_change_nothing() -> None:
    terms = replace(TERMS, owned=(owned(("a", "b")),), rented=(), apis=())
    first = Usage(2 * HOUR_S, (pool("a", stays=fixed(1)), pool("b", stays=fixed(2))), (), (servers(2, ["a", "b"]),))
    second = replace(first, pools=first.pools[::-1])
    other = replace(terms, topology="copy", owned=(owned(("b", "a")),))
    mine, copy = bill_study(terms, [month(first)] * 14), bill_study(other, [month(second)] * 14)
    assert [line.usd for line in mine.lines] == [line.usd for line in copy.lines]
    assert mine.npv_usd == copy.npv_usd


@pytest.mark.parametrize(
    "place",
    ["owned.server.capex_usd", "owned.server.install_usd", "rented.egress_usd_per_gb", "staff.usd_per_fte_year"],
)
def test_a_price_of_zero_removes_its_lines(place: str) -> None:
    room, *names = place.split(".")
    part: Any = getattr(TERMS, room)
    item = part[0] if isinstance(part, tuple) else part
    changed = (
        replace(item, **{names[0]: 0.0})
        if len(names) == 1
        else replace(item, **{names[0]: replace(getattr(item, names[0]), **{names[1]: 0.0})})
    )
    terms = replace(TERMS, **{room: (changed,) if isinstance(part, tuple) else changed})
    found = {line.category for line in bill_study(terms, [month(usage())] * 14).lines}
    gone = {
        "owned.server.capex_usd": {"hardware", "network and storage", "maintenance"},
        "owned.server.install_usd": {"installation"},
        "rented.egress_usd_per_gb": {"egress"},
        "staff.usd_per_fte_year": {"staff"},
    }
    assert not found & gone[place]


def test_without_interest_what_is_paid_is_what_the_lines_say() -> None:
    """Over a whole life of the hardware and whole terms of the commitment."""
    terms = replace(TERMS, discount_rate_per_year=0.0, months=48.0)
    bill = bill_study(terms, [month(usage())] * 48)
    assert bill.paid_usd.sum() == pytest.approx(48 * float(total_usd(bill.lines)))
    assert bill.npv_usd == pytest.approx(bill.paid_usd.sum())


def test_equal_months_and_months_of_equal_content_cost_the_same() -> None:
    shared, apart = [month(usage())] * 14, [month(usage()) for _ in range(14)]
    one, other = bill_study(TERMS, shared), bill_study(TERMS, apart)
    for mine, theirs in zip(one.lines, other.lines, strict=True):
        assert theirs.usd == pytest.approx(mine.usd, rel=1e-12)
    assert len({id(found.lines) for found in one.months}) == 1


def test_replications_are_periods_of_a_month() -> None:
    """A month of two replications costs the mean of what each costs."""
    api = [Usage(HOUR_S, (), (provider([[[tokens, 0, 0, 0]]]),)) for tokens in (10**9, 3 * 10**9)]
    terms = Terms("api", apis=(API,), months=1)
    both = float(total_usd(bill_study(terms, [month(*api)]).lines))
    each = [float(total_usd(bill_study(terms, [month(found)]).lines)) for found in api]
    assert both == pytest.approx(sum(each) / 2)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=30))
def test_cents_of_the_lines_add_up_to_the_rounded_total(usd: list[float]) -> None:
    lines = [Line("own", "space", str(k), 1.0, "months", value, "by_month") for k, value in enumerate(usd)]
    cents = whole_cents(lines)
    assert sum(cents) == round(float(total_usd(lines)) * 100)
    assert all(abs(found - value * 100) < 1 for found, value in zip(cents, usd, strict=True))


def test_cents_of_a_sum_beyond_64_bits_are_whole() -> None:
    lines = [Line("own", "space", str(k), 1.0, "months", usd, "by_month") for k, usd in enumerate((1e20, 3.337))]
    assert whole_cents(lines) == (10**22, 333)


def paying(once: float, monthly: float, months: int, last: float = 0.0) -> Bill:
    at = np.arange(months + 1, dtype=np.float64)
    first = np.zeros(months + 1)
    first[0], first[-1] = once, last
    return Bill((), (), at, first, np.where(at > 0, monthly, 0.0), 0.0, 0.0)


def test_payback_is_a_fraction_of_a_month() -> None:
    assert payback_months(paying(1_000.0, 10.0, 36), paying(0.0, 110.0, 36)) == pytest.approx(10.0)
    assert payback_months(paying(1_000.0, 10.0, 36), paying(0.0, 410.0, 36)) == pytest.approx(2.5)
    assert payback_months(paying(0.0, 10.0, 36), paying(0.0, 20.0, 36)) == 0.0
    assert payback_months(paying(1_000.0, 10.0, 36), paying(0.0, 20.0, 36)) is None
    assert payback_months(paying(1_000.0, 10.0, 36, -700.0), paying(0.0, 20.0, 36)) == 36.0


def test_nothing_is_paid_back_while_both_have_paid_the_same() -> None:
    """A fleet that is the same until the rival buys a server in month 9 has cost less from then on, not before."""
    mine, rival = paying(1_000.0, 10.0, 36), paying(1_000.0, 10.0, 36)
    assert payback_months(mine, rival) is None
    rival.once_usd[9] = 500.0
    assert payback_months(mine, rival) == 9.0
    assert payback_months(rival, mine) is None
    rival.once_usd[9] = 0.0
    rival.running_usd[13:] = 20.0
    assert payback_months(mine, rival) == 12.0
    mine.once_usd[0], rival.once_usd[12] = 1_100.0, 100.0
    assert payback_months(mine, rival) == 12.0


def test_payback_with_interest_comes_later() -> None:
    mine, rival = paying(1_000.0, 0.0, 36), paying(0.0, 100.0, 36)
    rate = 0.1
    months = payback_months(mine, rival, rate)
    assert months is not None
    assert 10.0 < months < 11.0
    paid = sum(100.0 / (1 + rate) ** (k / 12) for k in range(1, 11))
    assert months == pytest.approx(10 + (1_000.0 - paid) / (100.0 / (1 + rate) ** (11 / 12)))


@settings(deadline=None, max_examples=50)
@given(
    start=st.floats(0, 23.99),
    tariff=st.lists(st.floats(0.01, 1.0), min_size=24, max_size=24),
    hours=st.integers(1, 60),
)
def test_a_price_by_the_hour_lies_between_its_least_and_its_most(start: float, tariff: list[float], hours: int) -> None:
    end_s = hours * HOUR_S
    stays = fixed(1, end_s)
    used: PoolUsage = pool(stays=stays, end_s=end_s)
    offer = rented(usd_per_instance_hour=tuple(tariff))
    bill = bill_study(Terms("cloud", rented=(offer,), months=1), [month(Usage(end_s, (used,), ()), start_hour=start)])
    usd = float(total_usd(bill.lines)) / 730
    assert min(tariff) - 1e-9 <= usd <= max(tariff) + 1e-9
    if hours % 24 == 0:
        assert usd == pytest.approx(sum(tariff) / 24)


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (1234.5, "1,234"),
        (100.0, "100"),
        (99.994, "99.99"),
        (1.686, "1.69"),
        (12.0, "12.00"),
        (0.43, "0.43"),
        (0.996, "0.996"),
        (0.5, "0.50"),
        (0.05, "0.05"),
        (0.012345, "0.0123"),
        (0.0, "0"),
        (-0.0, "0"),
        (-0.25, "-0.25"),
    ],
)
def test_an_amount_is_shown_with_as_many_digits_as_it_takes(usd: float, text: str) -> None:
    assert amount(usd) == text
    assert money(usd) == f"${text}"


@given(usd=st.floats(1e-6, 1e9))
def test_no_amount_is_shown_off_by_more_than_half_a_percent(usd: float) -> None:
    assert float(amount(usd).replace(",", "")) == pytest.approx(usd, rel=0.005 + 1e-9)
