"""A long workload cut into windows that stand for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_cases import chat, written

from simulator.errors import InputError
from simulator.resolve.horizon import horizon_of
from simulator.run.remarks import other_tokens
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.workload.kinds import representative, to_mean
from simulator.workload.source import build_source, expected_by_window
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Schedule, Sessions, WorkloadSpec
from simulator.workload.windows import from_second, load_by_window

SMALL = Path(__file__).resolve().parents[2] / "tests/data/scenarios/small.yaml"
API = (
    "api: {providers: [{name: p, prices: [{input: 1.0, output: 1.0}], ttft_s: {median: 0.3}, tpot_s: {median: 0.01}, "
    "data_classes: [internal]}]}"
)
SPEC = WorkloadSpec(
    (
        ClassWorkload("a", Poisson(1.0), Constant(100), Constant(10)),
        ClassWorkload("b", Sessions(1.0, Constant(3), 1.0, Constant(50)), None, Constant(10)),
    )
)


def test_a_window_is_the_workload_from_its_second_on() -> None:
    whole, later = build_source(SPEC, 4000.0, 5, 100), from_second(build_source(SPEC, 4000.0, 5, 100), 1500.0)
    rows = np.concatenate([chunk.arrival_s[: chunk.n_open] for chunk in whole.chunks()])
    shifted = np.concatenate([chunk.arrival_s[: chunk.n_open] for chunk in later.chunks()])
    assert shifted == pytest.approx(rows[rows >= 1500.0] - 1500.0)
    for chunk in later.chunks():
        turns = chunk.next_turn[chunk.next_turn >= 0]
        assert len(set(turns.tolist())) == len(chunk) - chunk.n_open
    assert from_second(whole, 0.0) is whole


def test_load_is_counted_where_it_begins() -> None:
    source = build_source(SPEC, 4000.0, 5, 100)
    found = load_by_window(source, 500.0, 8)
    rows = sum(len(chunk) for chunk in source.chunks())
    assert found.shape == (8, 2, 3)
    assert found[:, :, 0].sum() == rows
    assert (found[:, 0, 1] == 100 * found[:, 0, 0]).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_shares_add_up_and_the_busiest_is_among_them(values: list[int], kinds: int) -> None:
    load = np.array(values, float)[:, None, None]
    found = representative(load, kinds, 1)
    assert sorted(member for _, members in found for member in members) == list(range(len(values)))
    assert all(window in members for window, members in found)
    assert len(found) <= max(kinds, 2)
    assert max(values) in [values[window] for window, _ in found]
    assert found == representative(load, kinds, 1)


def test_day_night_and_peak_are_told_apart() -> None:
    values = np.array(([1.0] * 8 + [5.0] * 8 + [1.0] * 8) * 7)
    values[40] = 20.0
    found = representative(values[:, None, None], 3, 1)
    assert {float(values[window]): len(members) for window, members in found} == {
        20.0: 1,
        5.0: 56,
        1.0: 111,
    }
    mean = sum(len(members) * values[window] for window, members in found) / len(values)
    assert mean == pytest.approx(values.mean())


def test_the_peak_of_the_bulk_of_the_traffic_is_the_busiest_whatever_a_small_class_does() -> None:
    """24 hours of 100 requests, 110 in hour 9; beside them one in each hour, two in hour 3."""
    load = np.ones((24, 2, 3))
    load[:, 0], load[9, 0], load[3, 1] = 100.0, 110.0, 2.0
    assert (9, (9,)) in representative(load, 2, 1)


def test_a_scenario_is_cut() -> None:
    day = "{kind: schedule, rate_rps: 1, hourly: [0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,3,3,0,0,0,0,0,0]}"
    sets = [f"workload.classes[chat].arrivals={day}", "run.horizon_s=86400", "run.warmup_s=600"]
    found = horizon_of(load_scenario(SMALL, sets=[*sets, "study.cut={window_h: 2, kinds: 3}"]))
    assert sum(period.hours for period in found.periods) == pytest.approx(730)
    assert any(period.window_s == (57600.0, 64800.0) for period in found.periods), "the busiest two hours"
    busiest = next(period for period in found.periods if period.window_s == (57600.0, 64800.0))
    assert busiest.when is not None
    assert busiest.when.start_hour == pytest.approx(16 - 600 / 3600)
    assert busiest.when.clock_s == 16 * 3600 - 600
    assert found.kept_tokens == pytest.approx((1, 1), abs=0.02), "day and night, though other traffic comes by chance"
    with pytest.raises(InputError, match=r"run\.horizon_s \(24 h\) has not as many windows"):
        load_scenario(SMALL, sets=[*sets, "study.cut={window_h: 12, kinds: 3}"])
    with pytest.raises(InputError, match="not both"):
        load_scenario(SMALL, sets=[*sets, "study.cut={window_h: 2}", "study.periods=[{name: a}]"])


def test_a_schedule_that_rises_is_followed() -> None:
    hours = tuple(float(hour) for hour in range(24))
    spec = WorkloadSpec((ClassWorkload("a", Schedule(0.05, hours), Constant(10), Constant(5)),))
    found = load_by_window(build_source(spec, 86400.0, 1), 3600.0, 24)[:, 0, 0]
    assert np.corrcoef(found, hours)[0, 1] > 0.99


HOURS = [100, 40, 20, 30, 75, 60, *[0] * 18]
"""Requests of a trace in each hour of a day."""


def cut_trace(folder: Path, counts: list[int], kinds: int) -> LoadedScenario:
    rows = [f"{3600 * hour + 30 * k},1000,500" for hour, n in enumerate(counts) for k in range(n)]
    (folder / "trace.csv").write_text("\n".join(["arrival_s,input_tokens,output_tokens", *rows]))
    sets = ["workload.classes[chat].arrivals={kind: trace, file: trace.csv, loop: false}", "run.horizon_s=86400"]
    text = chat(API, study="months: 1", warmup_s=0, tpot_s=1.0).replace("      lengths: {isl: 500, osl: 200}\n", "")
    return written(folder, text, *sets, *[f"study.cut={{window_h: 1, kinds: {kinds}}}"] * bool(kinds))


def test_windows_have_the_mean_load_of_what_they_stand_for(tmp_path: Path) -> None:
    """75 requests stand for 75 and 60, as 0.9 of them each, and 30 for 40, 20 and 30, as they are."""
    found = horizon_of(cut_trace(tmp_path, HOURS, 4))
    assert [(period.name, period.load) for period in found.periods] == [
        ("0 h", (1.0,)),
        ("3 h", (1.0,)),
        ("4 h", (0.9,)),
        ("6 h", (1.0,)),
    ]
    assert found.kept_tokens == pytest.approx((1.0,))


@pytest.mark.parametrize("kinds", [2, 3, 4])
def test_the_bill_of_a_cut_is_that_of_all_hours(tmp_path: Path, kinds: int) -> None:
    """Of a token API, whose bill is its tokens: the part of it that the windows are said to have, all of it of four."""
    whole = simulate(cut_trace(tmp_path, HOURS, 0), None).summary["topologies"]["api"]["cost"]["usd_per_month"]
    part = simulate(cut_trace(tmp_path, HOURS, kinds), None).summary["topologies"]["api"]["cost"]["usd_per_month"]
    (share,) = horizon_of(cut_trace(tmp_path, HOURS, kinds)).kept_tokens
    assert part == pytest.approx(whole * share, rel=0.02)
    assert share == pytest.approx(1.0) or kinds < 4


def test_what_no_window_can_stand_for_is_told(tmp_path: Path) -> None:
    """A window is at most doubled: of 60 in an hour and none in 22 others, which are one kind, none stand for all."""
    counts = [100, 60, *[0] * 22]
    loaded = cut_trace(tmp_path, counts, 2)
    (share,) = horizon_of(loaded).kept_tokens
    told = other_tokens(loaded.scenario.workload.classes, [share])
    assert f"have {share:.0%} of the tokens of chat: more" in told[0]


def test_what_is_drawn_goes_by_its_rate_not_by_what_came() -> None:
    """A rare class has by chance 0 to 3 requests in an hour: none of them is multiplied for that."""
    steady = expected_by_window(Poisson(0.0003), 3600.0 * np.arange(25))
    assert steady is not None
    assert steady.tolist() == [1.0] * 24
    hours = (1.0,) * 12 + (3.0,) * 12
    found = expected_by_window(Schedule(0.1, hours), 3600.0 * np.arange(25))
    assert found is not None
    assert found.tolist() == pytest.approx([360.0] * 12 + [1080.0] * 12)
    assert to_mean(found[:, None], 0, range(24)).tolist() == [2.0]
    assert to_mean(found[:, None], 12, range(24)).tolist() == pytest.approx([2 / 3])
