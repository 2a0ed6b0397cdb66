"""Hours of the week with a load of one's own, as an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.questions.answers import Answers
from simulator.questions.hours import hours_per_week, left_s, mean_share, own_kinds
from simulator.questions.traffic import busy_rate_rps
from simulator.questions.write import scenario_text
from simulator.resolve.sizes import at_start
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.scenario.week import hours_per_month

SUPPORT = "Mon - Fri 7-19 1; sat 9:30-13 40%; else .05"


def test_hours_of_ones_own_are_periods_of_the_study(tmp_path: Path) -> None:
    """60 h, 3.5 h and the other 104.5 h of a week."""
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"rate_rps": 1.0, "hours": SUPPORT, "name": "our support, EU"}), "utf-8")
    loaded = load_scenario(file)
    assert plan_topologies(at_start(loaded))
    assert loaded.scenario.name == "our-support-EU"
    busy, saturday, others = loaded.scenario.study.periods
    assert (busy.name, busy.days, busy.hours, busy.load) == ("busy", "mon-fri", "7-19", 1.0)
    assert (saturday.days, saturday.hours, saturday.load) == ("sat", "9:30-13", 0.4)
    assert (others.start, others.load) == ("sat 13:00", 0.05), "nobody else from then to Monday morning"
    assert hours_per_month(busy) == pytest.approx(730 * 60 / 168)
    assert hours_per_month(others) is None, "what is left of each month"
    assert mean_share(Answers(hours=SUPPORT)) == pytest.approx((60 + 0.4 * 3.5 + 0.05 * 104.5) / 168)


def test_what_is_spent_a_month_is_spread_over_hours_of_ones_own() -> None:
    paid = {"spend_usd_per_month": 5000.0, "offer": "openai/gpt-4o-mini"}
    always = busy_rate_rps(Answers(**paid, busy="always"))
    assert busy_rate_rps(Answers(**paid, hours="mon-sun 9-12 1")) == pytest.approx(8 * always)


def test_the_busiest_hours_come_first_and_nobody_asks_in_what_is_not_named() -> None:
    kinds = own_kinds("mon 0-24 0.2; tue 22-6 3\nwed 12-13 1")
    assert [(each.words, each.load) for each in kinds] == [
        ("tue 22-6", 3.0),
        ("wed 12-13", 1.0),
        ("mon 0-24", 0.2),
        ("else", 0.0),
    ]


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        ("", "must be 1 to 20 kinds"),
        ("; ".join(f"mon {k / 2:g}-{k}" for k in range(21)), "cannot be read"),
        ("mon-fri 7-19", "cannot be read"),
        ("mon-fri 7-7 1", "names no days and hours"),
        ("mo-fr 7-17 1", "names no days and hours"),
        ("auto 7-17 1", "names no days and hours"),
        ("mon 8-9 0; else 0", "somebody has to ask"),
        ("else 1; else 2", "says twice"),
        ("mon-sun 0-24 1; else 1", "no hour of the week is left"),
        ("mon-fri 7-19 1; thu 18-20 .5", "mon-fri 7-19 and thu 18-20 overlap at thu 18:00"),
        ("sun 22-6 1; mon 5-8 1", "sun 22-6 and mon 5-8 overlap at mon 5:00"),
        ("mon 7-8 1e99", "must be at most"),
    ],
)
def test_hours_that_mean_nothing_are_refused(hours: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        scenario_text({"rate_rps": 1.0, "hours": hours})


def test_hours_of_ones_own_and_a_choice_of_hours_exclude_each_other() -> None:
    with pytest.raises(InputError, match="busy: hours of one's own"):
        scenario_text({"rate_rps": 1.0, "hours": SUPPORT, "busy": "always"})


@settings(max_examples=100, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 22)), min_size=1, max_size=12))
def test_named_and_other_hours_are_a_week(cells: set[tuple[int, int]]) -> None:
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    text = "; ".join(f"{days[day]} {hour}-{hour + 1} 1" for day, hour in cells)
    named = [each for each in own_kinds(text) if each.window is not None]
    assert sum(map(hours_per_week, named)) == len(cells)
    assert left_s(named) == 3600 * (168 - len(cells))
    assert mean_share(Answers(hours=text)) == pytest.approx(len(cells) / 168)
