"""Break-even where terms outlast the study, and where a rival's rent stops at some hours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bill_cases import fixed, pool, rented
from priced_cases import costed

from simulator.decide.break_even import break_evens, hours_below, hours_per_day
from simulator.decide.costed import Costed
from simulator.decide.months import walk
from simulator.study.bill import Kind, Line
from simulator.study.decision import BreakEven, Served
from simulator.study.demand import Growth, Horizon
from simulator.study.terms import Commitment, RentedTerms, Terms
from simulator.study.usage import Stay, Usage

HOUR_S = 3600.0
ALL_DAY, OFFICE = fixed(1, 24 * HOUR_S), (Stay(0, 0, "serving", 8 * HOUR_S, 18 * HOUR_S),)


def _rent(name: str, offer: RentedTerms, months: int = 24, stays: tuple[Stay, ...] = ALL_DAY) -> Costed:
    usage = Usage(24 * HOUR_S, (pool(gpus=8, stays=stays, end_s=24 * HOUR_S),), ())
    walked = walk(Horizon(months, (Growth(),)), lambda sizes, level, asked: Served(True, 1.0, "", (usage,)), (1,))
    return costed(name, Terms(name, rented=(offer,), months=months), walked)


def _pairs(*found: Costed) -> dict[tuple[str, str], BreakEven]:
    return {(one.topology, one.rival): one for one in break_evens(found)}


def test_what_is_owed_after_the_study_is_paid() -> None:
    """36 months at $10 an hour are 262,800, 24 at $14 are 245,280: the term has cost that much after 33.6 months."""
    term = rented(usd=14.0, commitments=(Commitment(10.0, 36, 1),))
    found = _pairs(_rent("committed", term), _rent("on_demand", rented(usd=14.0)))
    assert found["committed", "on_demand"].months is None
    assert found["on_demand", "committed"].months == pytest.approx(245_280 / 7_300)
    within = _pairs(_rent("committed", term, 36), _rent("on_demand", rented(usd=14.0), 36))
    assert within["committed", "on_demand"].months == 0.0
    assert within["on_demand", "committed"].months is None


def test_a_rent_that_stops_at_night_says_nothing_of_hours_of_use() -> None:
    """Of $14 for 10 hours a day, 24 C / U would say 9.6 hours to what costs as much as 4 hours."""
    flat = rented(usd=0.0, commitments=(Commitment(14.0 * 4 / 24, 24, 1),))
    found = _pairs(
        _rent("flat", flat), _rent("office", rented(usd=14.0), stays=OFFICE), _rent("all_day", rented(usd=14.0))
    )
    assert found["flat", "all_day"].hours_per_day == pytest.approx(4.0)
    assert found["flat", "office"].hours_per_day is None


def test_what_is_above_commitments_is_rented_for_the_hours_of_use_too() -> None:
    """Two of $14: one under commitment at $8 pays above 24 · 8 / 14 hours of use, not above the 24 · 22 / 28 of both
    all day beside two for these hours; at $18 it costs more than at $8 in any hour."""
    two = fixed(2, 24 * HOUR_S)
    demand, term, dear = rented(usd=14.0), Commitment(8.0, 12, 1), Commitment(18.0, 24, 1)
    found = _pairs(
        _rent("demand", demand, stays=two),
        _rent("mixed", replace(demand, commitments=(term,)), stays=two),
        _rent("dearer", replace(demand, commitments=(dear,)), stays=two),
    )
    assert found["mixed", "demand"].hours_per_day == pytest.approx(24 * 8 / 14)
    assert found["demand", "mixed"].hours_below == pytest.approx(24 * 8 / 14)
    assert (found["mixed", "dearer"].hours_per_day, found["dearer", "mixed"].hours_per_day) == (0.0, 24.0)


def test_commitments_that_are_as_many_as_are_worth_it_are_others_at_other_hours() -> None:
    """Of one at $8 beside $14 none is worth it below 24 · 8 / 14 hours: the mix never costs more than on demand."""
    demand = rented(usd=14.0)
    mixed = _rent("mixed", replace(demand, commitments=(Commitment(8.0, 12, None),)))
    written = _rent("written", replace(demand, commitments=(Commitment(8.0, 12, 1),)))
    found = _pairs(_rent("demand", demand), mixed, written)
    assert mixed.bill.running_usd.sum() == pytest.approx(written.bill.running_usd.sum()), "one is entered"
    assert found["written", "demand"].hours_per_day == pytest.approx(24 * 8 / 14)
    pairs = found["mixed", "demand"], found["demand", "mixed"], found["written", "mixed"], found["mixed", "written"]
    assert [(one.hours_per_day, one.hours_below) for one in pairs] == [(None, None)] * 4


def test_a_window_within_an_hour_is_all_the_time() -> None:
    start_s, end_s = 0.5 * HOUR_S, 1.25 * HOUR_S
    usage = Usage(
        end_s, (pool(gpus=8, stays=(Stay(0, 0, "serving", start_s, end_s),), end_s=end_s),), (), start_s=start_s
    )
    walked = walk(Horizon(24, (Growth(),)), lambda sizes, level, asked: Served(True, 1.0, "", (usage,)), (1,))
    rent = costed("rent", Terms("rent", rented=(rented(usd=14.0),), months=24), walked)
    dear = _rent("dear", rented(usd=28.0, commitments=(Commitment(28.0, 24, 1),)))
    assert _pairs(rent, dear)["dear", "rent"].hours_per_day == pytest.approx(48.0)


def _line(unit: str, usd: float, kind: Kind = "by_use") -> Line:
    return Line("one", "of", "it", 1.0, unit, usd, kind)


@pytest.mark.parametrize("traffic_usd", [0.0, 300.0])
@pytest.mark.parametrize("fee", [0.0, 0.25])
def test_hours_of_use_know_of_traffic_and_of_fees_that_follow_the_bill(traffic_usd: float, fee: float) -> None:
    """$3,000 committed and $100 of storage, against $4,000 around the clock and $80: 18.12 hours with or without."""

    def bill(*lines: Line) -> list[Line]:
        rest = [*lines, _line("GB", traffic_usd)]
        return [*rest, _line("USD", fee * sum(float(line.usd) for line in rest))]

    committed = bill(_line("GPU-hours", 3000.0, "committed"), _line("GB", 100.0, "by_month"))
    demand = bill(_line("GPU-hours", 4000.0), _line("GB", 80.0, "by_month"))
    assert hours_per_day(committed, demand) == pytest.approx(24 * (3000 + 100 - 80) / 4000)
    free = [line for line in committed if line.kind != "by_use"]
    at = hours_per_day(free, demand)
    assert at is not None
    assert (1 + fee) * (80 + at / 24 * (4000 + traffic_usd)) == pytest.approx(3100.0)


def test_tokens_are_paid_for_in_the_hours_of_use_alone() -> None:
    demand = [_line("GPU-hours", 2000.0)]
    assert hours_per_day([_line("tokens", 1000.0)], demand) == 0.0
    assert hours_per_day([_line("tokens", 3000.0)], demand) == 24.0
    assert hours_per_day([_line("tokens", 1000.0), _line("months", 500.0, "by_month")], demand) == pytest.approx(12.0)


def test_tokens_beside_rent_with_a_licence_cost_less_below_some_hours() -> None:
    """$4,719 of tokens around the clock against $1,475 of rent and $350 whatever is used: up to 2.59 hours a day."""
    tokens = [_line("tokens", 4719.0)]
    demand = [_line("GPU-hours", 1475.0), _line("months", 350.0, "by_month")]
    assert hours_per_day(tokens, demand) is None
    at = hours_below(tokens, demand)
    assert at == pytest.approx(24 * 350 / (4719 - 1475))
    assert at / 24 * 4719 == pytest.approx(350 + at / 24 * 1475)
    dear = [_line("GPU-hours", 1475.0), _line("months", 5000.0, "by_month")]
    assert (hours_per_day(tokens, dear), hours_below(tokens, dear)) == (0.0, None), "at all hours"
    assert (hours_per_day(tokens, demand[:1]), hours_below(tokens, demand[:1])) == (24.0, None), "at none"
