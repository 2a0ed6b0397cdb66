"""Rows of a sweep: what each says of an outcome, and how they are shown, failed ones too."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from simulator.decide.standing import BY_REPLICATION, CHANCE_COLUMNS
from simulator.sweep.row import _COSTS, _METRICS, column, figures, where
from simulator.sweep.table import _FIGURES, notes, table


def outcome(bills: list[float], **cost: Any) -> Any:
    """Figures that are all different: metrics from 1 on, times from 0.5, costs from 100."""
    metrics: dict[str, Any] = {name: 1.0 + number for number, name in enumerate(_METRICS)}
    for number, name in enumerate(("ttft", "tpot", "e2e")):
        metrics[f"{name}_s"] = {"p50": number + 0.5, "p95": number + 0.95, "p99": number + 0.99}
    costs: dict[str, Any] = {name: 100.0 + number for number, name in enumerate(_COSTS)}
    summary = SimpleNamespace(
        metrics=metrics,
        cost={**costs, "chance": None, **cost},
        replicas=(2, 5),
        lasts_until=7,
        time_in_steps=0.25,
        replications=[{"usd_per_month": usd} for usd in bills],
        calibrated=False,
        unmeasured=(),
    )
    return SimpleNamespace(summary=summary, slo_met=True)


def test_a_row_has_each_figure_once_and_bills_where_there_are_several() -> None:
    row = figures(outcome([3.0, 4.0]))
    assert row["slo_met"] is True
    assert [row[name] for name in _METRICS[1:]] == [2.0 + number for number in range(len(_METRICS) - 1)]
    assert [row[name] for name in _COSTS] == [100.0 + number for number in range(len(_COSTS))]
    times = [row[f"{name}_{share}_s"] for name in ("ttft", "tpot", "e2e") for share in ("p50", "p95", "p99")]
    assert times == [0.5, 0.95, 0.99, 1.5, 1.95, 1.99, 2.5, 2.95, 2.99]
    assert (row["replicas_min"], row["replicas_max"], row["lasts_until"], row["time_in_steps"]) == (2, 5, 7, 0.25)
    assert row[BY_REPLICATION] == [3.0, 4.0]
    assert row["calibrated"] is False
    assert all(row[name] is None for name in CHANCE_COLUMNS)
    assert figures(outcome([3.0]))[BY_REPLICATION] is None


def test_what_is_no_number_is_none_and_chance_is_told_by_its_parts() -> None:
    chance: dict[str, Any] = {part: 10.0 * number for number, part in enumerate(CHANCE_COLUMNS.values(), 1)}
    row = figures(outcome([3.0], chance=chance, usd_per_million_tokens=math.nan))
    assert row["usd_per_million_tokens"] is None
    assert [row[name] for name in CHANCE_COLUMNS] == [10.0 * number for number in range(1, 1 + len(CHANCE_COLUMNS))]
    summary = outcome([3.0])
    summary.summary.replicas = None
    row = figures(summary)
    assert (row["replicas_min"], row["replicas_max"]) == (None, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5], [1, 2.5]),
        ([True, False], [True, False]),
        (["é", "b"], ["é", "b"]),
        ([1, "é"], ["1", '"é"']),
        ([True, 1], ["true", "1"]),
        ([{"b": 1, "a": 2}], ['{"a": 2, "b": 1}']),
        ([None, None], ["null", "null"]),
    ],
)
def test_values_of_one_kind_stay_as_they_are_in_a_column(values: list[Any], expected: list[Any]) -> None:
    assert column(values) == expected


def test_a_point_is_told_by_short_names() -> None:
    assert where({"engine.block_size": 16, "run.seed": 1}) == "block_size=16, seed=1"


ROWS = pd.DataFrame(
    [
        {**figures(outcome([3.0])), "topology": "own", "status": "ok", "error": None, "run.seed": 1},
        {**figures(outcome([3.0])), "topology": "rent", "status": "ok", "error": None, "run.seed": 2, "slo_met": None},
        {"topology": "own", "status": "failed", "error": "too large", "run.seed": 3},
        {"topology": None, "status": "bug", "error": "words " * 40, "run.seed": 4},
    ]
)


def test_rows_are_shown_with_their_values_and_failed_ones_as_such() -> None:
    rows, headers = table(ROWS, ["run.seed"])
    assert headers[:3] == ["seed", "topology", "SLO met"]
    assert {len(row) for row in rows} == {len(headers)} == {3 + len(_FIGURES)}
    assert [row[:2] for row in rows] == [["1", "own"], ["2", "rent"], ["3", "own"], ["4", "-"]]
    assert [row[2] for row in rows[2:]] == ["failed", "failed"]
    assert [row[2] for row in rows[:2]] == ["yes", "not known"]
    assert all(cell == "-" for row in rows[2:] for cell in row[3:])
    assert all(cell != "-" for row in rows[:2] for cell in row[3:])


@pytest.mark.parametrize(("tpot_s", "cell"), [(0.0, "whole"), (0.00004, "whole"), (0.00006, "0.1"), (math.nan, "-")])
def test_answers_that_come_whole_have_no_time_per_token(tpot_s: float, cell: str) -> None:
    """A batch of a token API was shown with a TPOT of 0.0 ms in a sweep, and as whole in a run."""
    rows, headers = table(pd.DataFrame([{**ROWS.iloc[0].to_dict(), "tpot_p99_s": tpot_s}]), ["run.seed"])
    assert rows[0][headers.index("TPOT p99 [ms]")] == cell


def test_errors_are_told_with_their_point_and_wrapped() -> None:
    first, *rest = notes(ROWS, ["run.seed"])
    assert first == "! own, seed=3: too large"
    assert rest[0].startswith("! seed=4: a bug of ours: words words")
    assert len(rest) == 3
    assert max(map(len, rest)) <= 110 < len(rest[0]) + len("words ")
    assert all(line.startswith("  words") for line in rest[1:])


def test_why_an_slo_is_not_known_is_told_once_for_all_rows_that_it_holds_for() -> None:
    found = outcome([3.0])
    found.summary.unmeasured = ({"class": "chat", "period": ""}, {"class": "code", "period": ""})
    both = {**figures(found), "slo_met": None, "topology": "own", "status": "ok", "error": None, "run.seed": 1}
    found.summary.unmeasured = ({"class": "chat", "period": "night"},)
    night = {**both, **figures(found), "slo_met": None}
    rows = pd.DataFrame([both, {**both, "run.seed": 2}, night, {**both, **figures(outcome([3.0]))}])
    assert notes(rows, ["run.seed"]) == [
        "! SLO not known in 2 rows: no request of chat, code came in the window; a longer run.horizon_s has some",
        "! SLO not known in 1 row: no request of chat was measured in night; a longer run.horizon_s has some",
    ]
    assert notes(rows.drop(columns="not_known"), ["run.seed"]) == []
