"""The study section: months, growth and periods."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import InputError
from simulator.resolve.horizon import horizon_of
from simulator.scenario.load import load_scenario
from simulator.scenario.months import hours_left
from simulator.schema.study import Period
from simulator.study.demand import Horizon

SMALL = Path(__file__).resolve().parents[2] / "tests/data/scenarios/small.yaml"


def _horizon(*sets: str) -> Horizon:
    return horizon_of(load_scenario(SMALL, sets=sets))


def test_without_a_study_section_nothing_grows_and_a_month_is_one_period() -> None:
    found = _horizon()
    assert found.months == 36
    assert {found.level(month) for month in found.numbers} == {(1.0,) * len(found.growth)}
    assert [period.hours for period in found.periods_of(1)] == [730.0]


def test_growth_by_rate_class_and_table() -> None:
    found = _horizon(
        "study.growth_per_year=1.0",
        "study.growth_per_year_by_class={chat: 0.0}",
        "study.load_steps=[{from_month: 13, load: 3.0}, {from_month: 25, load_by_class: {chat: 0.5}}]",
    )
    chat = next(k for k, cls in enumerate(load_scenario(SMALL).scenario.workload.classes) if cls.name == "chat")
    assert [found.growth[chat].factor(month) for month in (1, 12, 13, 24, 25, 36)] == [1, 1, 3, 3, 0.5, 0.5]
    for k, growth in enumerate(found.growth):
        if k != chat:
            assert growth.factor(7) == pytest.approx(2**0.5)
            assert growth.factor(13) == 3.0
            assert growth.factor(25) == pytest.approx(6.0)


def test_hours_left_out_are_the_rest_of_each_month() -> None:
    found = _horizon(
        "study.first_month=2027-10",
        "study.periods=[{name: ordinary}, {name: peak, hours_per_month: 60, load: 2}, "
        "{name: christmas, hours_per_month: 100, load: 3, quarters: [4], months: [1]}]",
    )
    for month in found.numbers:
        periods = found.periods_of(month)
        assert sum(period.hours for period in periods) == pytest.approx(730)
        assert len({period.name for period in periods}) == len(periods)
    assert {p.name: p.hours for p in found.periods_of(1)} == {"ordinary": 570, "peak": 60, "christmas": 100}
    assert {p.name: p.hours for p in found.periods_of(4)} == {"ordinary": 570, "peak": 60, "christmas": 100}
    assert {p.name: p.hours for p in found.periods_of(5)} == {"ordinary": 670, "peak": 60}
    peak = next(p for p in found.periods if p.name == "peak")
    assert set(peak.at(found.level(1)).level) == {2.0}


@pytest.mark.parametrize(
    ("windows", "left"),
    [
        ([{"days": "mon-fri", "hours": "8-20"}], {2: 12, 7: 12}),
        ([{"days": "mon-fri", "hours": "8-20"}, {"days": "sat,sun", "hours": "8-20"}], {0: 12, 7: 12}),
        ([{"days": "mon-sun", "hours": "8-9:30"}], {0: 1, 3.5: 1, 7: 22}),
        ([{"days": "mon-sun", "hours": "0-12"}, {"days": "mon-sun", "hours": "11-24"}], None),
        ([{"days": "mon-sun", "hours": "0-12"}, {"days": "mon-sun", "hours": "12-24"}], None),
        ([{"days": "mon", "hours": "8-9"}, {"days": "mon", "hours": "8-9"}], None),
        ([{"days": "mon", "hours": "8-9"}, {"days": "tue", "hours": "8-9"}], {5: 1, 7: 23}),
        ([{"days": "sun", "hours": "20-4"}, {"days": "mon", "hours": "3-4"}], None),
        ([{"days": "mon-sun", "hours": "0-8:20"}, {"days": "mon-sun", "hours": "8:20-24"}], None),
        ([{"days": "mon-sun", "hours": "0-8:20"}, {"days": "mon-sun", "hours": "8:20-23"}], {0: 23, 7: 1}),
        ([{"hours_per_month": 100}], None),
        ([], None),
    ],
)
def test_hours_that_are_left_are_those_of_a_week_that_no_other_has(
    windows: list[dict[str, Any]], left: dict[float, int] | None
) -> None:
    """By hours of a week in each hour of the day: none is known where two have the same hour, or all have all."""
    rest = Period.model_validate({"name": "rest"})
    others = [Period.model_validate({"name": f"p{k}", **window}) for k, window in enumerate(windows)]
    found = hours_left(rest, [*others, rest])
    counts = {
        hours: sum(math.isclose(one, hours, abs_tol=1e-6) for one in found)
        for hours in sorted({round(h, 6) for h in found})
    }
    assert counts == (left or {})
    assert not others or hours_left(others[0], [*others, rest]) == (), "it has its own"


QUARTERS = "[{name: a, hours_per_month: 730, quarters: [1]}, {name: b, hours_per_month: 10, quarters: [4]}]"


@pytest.mark.parametrize(("first", "months", "names"), [("2027-01", 3, {"a"}), ("2027-02", 1.5, {"a"})])
def test_periods_of_months_that_a_study_never_reaches_are_left_alone(
    first: str, months: float, names: set[str]
) -> None:
    found = _horizon(f"study={{months: {months}, first_month: {first}, periods: {QUARTERS}}}")
    assert {period.name for period in found.periods} == names
    assert [sum(period.hours for period in found.periods_of(month)) for month in found.numbers] == [730] * len(
        found.numbers
    )


def test_a_rest_is_that_of_the_months_of_the_study() -> None:
    a, b = "{name: a, hours_per_month: 30, quarters: [1]}", "{name: b, hours_per_month: 1, months: [7]}"
    found = _horizon(f"study={{months: 2, first_month: 2027-12, periods: [{{name: rest}}, {a}, {b}]}}")
    assert {(period.name, period.hours) for period in found.periods_of(1)} == {("rest", 730)}
    assert {(period.name, period.hours) for period in found.periods_of(2)} == {("rest", 700), ("a", 30)}
    assert {period.hours for period in found.periods} == {730, 700, 30}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        (f"study={{months: 3.5, first_month: 2027-01, periods: {QUARTERS}}}", "calendar month 4 must add up to 730"),
        (f"study={{months: 3, first_month: 2027-10, periods: {QUARTERS}}}", "calendar month 10 must add up to 730"),
        (
            "study={months: 1, periods: [{name: a, load: 0, months: [1]}, {name: b, months: [2]}]}",
            "comes in any period that the study reaches",
        ),
        ("study.months=0", "study.months: must be greater than 0"),
        ("study.growth_per_year=-1", "study.growth_per_year: must be greater than -1"),
        ("study.growth_per_year_by_class={caht: 1}", "unknown class 'caht': did you mean 'chat'?"),
        ("study.load_steps=[{from_month: 2}]", "study.load_steps[0]: give the load"),
        (
            "study.load_steps=[{from_month: 2, load: -1}]",
            "study.load_steps[0].load: must be greater than or equal to 0",
        ),
        ("study.load_steps=[{from_month: 2, load: 1}, {from_month: 2, load: 2}]", "2 steps begin in month 2"),
        (
            "study={months: 2.5, load_steps: [{from_month: 4, load: 2}]}",
            "from_month: begins after the study, which has 2.5",
        ),
        ("study.load_steps=[{from_month: 2, load_by_class: {nope: 1}}]", "unknown class 'nope'"),
        ("study.months=0.0001", "study.months: must be at least 0.1"),
        ("study.months=1.0e+9", "study.months: must be at most 600"),
        ("study.growth_per_year=5000", "study.growth_per_year: the load of chat in month 11 is above 1,000 times"),
        ("study.growth_per_year=1.0e+15", "study.growth_per_year: the load of chat in month 4 is above"),
        ("study.growth_per_year=1.0e+300", "study.growth_per_year: must be at most 1e+15 in size"),
        ("study.growth_per_year_by_class={chat: 1.0e+9}", "study.growth_per_year_by_class.chat: the load of chat"),
        ("study.load_steps=[{from_month: 2, load: 2000}]", "study.load_steps: the load of chat in month 2 is above"),
        ("study.periods=[{name: a, load: 1.0e+6}]", "study.periods: the load of chat in month 1 is above"),
        ("study.periods=[{name: a}, {name: b}]", "only one period may leave out hours_per_month, not a, b"),
        ("study.periods=[{name: a, hours_per_month: 700}]", "of calendar month 1 must add up to 730"),
        ("study.periods=[{name: a, quarters: [1]}]", "calendar month 4"),
        ("study.periods=[{name: a, hours_per_month: 800}, {name: b}]", "must add up to 730"),
        (
            "study.periods=[{name: a}, {name: a, hours_per_month: 1}]",
            "study.periods[1].name: is the name of study.periods[0], too",
        ),
        ("cost.horizon_months=12", "'months'"),
    ],
)
def test_what_cannot_be_is_said_at_its_place(assignment: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(SMALL, sets=[assignment])
    assert words in str(caught.value)
