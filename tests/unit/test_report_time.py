"""Time as people read it, and what was lost when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.demand import COUNTS, LOST, Demand
from simulator.report.time_axis import clock_words, time_axis, time_unit
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

TROUBLED = Path(__file__).resolve().parents[1] / "data/scenarios/troubled.yaml"


@pytest.mark.parametrize(
    ("span_min", "clock_s", "title", "first", "step"),
    [
        (60, 0.0, "minutes", 0, 5),
        (600, 0.0, "time of the day", 0, 60),
        (600, 8.25 * 3600, "time of the day", 45, 60),
        (7 * 1440, 0.0, "weekday and time of the day", 0, 720),
        (7 * 1440, 6 * 3600, "weekday and time of the day", 360, 720),
        (365 * 1440, 0.0, "days", 0, 40_320),
    ],
)
def test_ticks_stand_at_round_times(span_min: float, clock_s: float, title: str, first: float, step: float) -> None:
    axis = time_axis(span_min, clock_s).to_dict()
    assert axis["title"] == title
    assert axis["values"][:2] == [first, first + step]
    assert len(axis["values"]) <= 15
    assert axis["values"][-1] <= span_min


def test_every_lost_request_has_one_reason_and_the_time_it_came() -> None:
    ended = [
        (0.5, Status.COMPLETED, Reason.NONE),
        (1.5, Status.REJECTED, Reason.RATE_LIMIT),
        (1.6, Status.REJECTED, Reason.TOO_LONG),
        (2.5, Status.FAILED, Reason.REPLICA_LOST),
        (3.5, Status.TIMED_OUT, Reason.NONE),
        (3.6, Status.UNFINISHED, Reason.NONE),
    ]
    records = np.zeros(len(ended), RECORD)
    for name, column in zip(("arrival_s", "status", "reason"), zip(*ended, strict=True), strict=True):
        records[name] = column
    demand = Demand(4.0, 1)
    demand.add(records)
    table = pd.DataFrame(demand.counts[:, 0], columns=list(COUNTS))
    assert table["arrived"].tolist() == [1, 2, 1, 2]
    found = {name: table.index[table[name] > 0].tolist() for name in LOST if table[name].any()}
    assert found == {"rate_limit": [1], "too_long": [1], "replica_lost": [2], "timed_out": [3], "unfinished": [3]}


def test_what_was_lost_over_time_adds_up_to_the_run_s_counts(tmp_path: Path) -> None:
    found = read_bundle(simulate(load_scenario(TROUBLED, sets=["run.warmup_s=0"]), tmp_path).bundle)
    demand = found.table("demand").groupby("topology")[list(LOST)].sum()
    for name, summary in found.summary["topologies"].items():
        metrics = summary["metrics"]
        assert demand.loc[name].sum() == metrics["arrived"] - metrics["statuses"]["completed"]
        told: dict[str, int] = {}
        for reasons in metrics["reasons"].values():
            for reason, count in reasons.items():
                told[reason] = told.get(reason, 0) + count
        assert {reason: demand.loc[name, reason] for reason in told} == told
    assert demand.to_numpy().sum() > 0


def test_a_minute_is_told_by_the_clock_of_the_run() -> None:
    """A run from Monday 5:30 on; minute 2,190 is 36.5 h later."""
    monday_s = 5.5 * 3600
    assert clock_words(0.0, 2190.0, monday_s) == "Mon 05:30"
    assert clock_words(2190.0, 2190.0, monday_s) == "Tue 18:00"
    assert clock_words(18.5 * 60, 20_000.0, monday_s) == "Tue 00:00 of day 2"
    assert clock_words(14 * 1440.0, 20_160.0, 6 * 86_400.0) == "Sun 00:00 of day 15"
    assert clock_words(5.0, 60.0, monday_s) == "", "minutes are told as such"


def test_times_are_asked_for_in_minutes_up_to_two_hours() -> None:
    assert time_unit(120.0) == ("minute", 1.0)
    assert time_unit(120.1) == ("hour", 60.0)
