"""Tables of how far forecasts were from what was measured: rows of what commands leave, and of the documents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from calibrate.serving import docs
from calibrate.serving.measured import Excluded
from calibrate.serving.report import HEADERS, knee_rows, table_rows
from dashboard.views.calibration import _json
from simulator.errors import InputError
from simulator.report.calibration_charts import drift_slices, error_bars, measured_rows

ERRORS = {"rows": 12, "median_abs_error": 0.0312, "p90_abs_error": 0.154, "bias": -0.021}


def test_errors_of_published_points_are_a_row_each() -> None:
    value = {
        "overall": {"ttft": ERRORS, "tpot": {"rows": 0}},
        "burst": {"e2e": {**ERRORS, "median_abs_error": 0.2}},
        "by_gpu": {"h100": {"tpot": ERRORS}},
        "by_load_level": {8: {"tpot": ERRORS}},
        "by_source": {"left out": {"tpot": ERRORS}},
        "saturated": None,
    }
    assert [(row["of"], row["name"], row["metric"], row["error"], row["rows"]) for row in measured_rows(value)] == [
        ("overall", "all", "ttft", 0.0312, 12),
        ("burst", "all", "e2e", 0.2, 12),
        ("gpu", "h100", "tpot", 0.0312, 12),
        ("load_level", "8", "tpot", 0.0312, 12),
    ]


def test_errors_of_served_runs_are_a_row_each() -> None:
    def run(rate_rps: float, error: float) -> dict[str, Any]:
        row = {"metric": "ttft", "statistic": "p99", "error": error}
        return {"rate_rps": rate_rps, "requests": 40, "rows": [row]}

    both = {"files": [{"runs": [run(1.5, 0.1)]}, {}], "runs": {"core": [run(3.0, 0.2)], "http": [run(4.0, -0.3)]}}
    assert [(row["of"], row["name"], row["metric"], row["error"], row["rows"]) for row in measured_rows(both)] == [
        ("run", "1.5 requests/s", "ttft p99", 0.1, 40),
        ("run", "3 requests/s", "ttft p99", 0.2, 40),
        ("run", "4 requests/s", "ttft p99", -0.3, 40),
    ]
    assert measured_rows({"drift": {}}) == []


def test_slices_of_a_watch_stand_at_their_minutes() -> None:
    slices = [{"start_s": 600.0, "end_s": 720.0, "ratio": 1.1}, {"start_s": 720.0, "end_s": 960.0, "ratio": 1.3}]
    found = drift_slices({"drift": {"low": 1.05, "high": 1.25, "slices": slices}}).to_dict()
    rows = list(found["datasets"].values())
    assert [{"low": 1.05, "high": 1.25}] in rows
    assert [{"minutes": 0.0, "ratio": 1.1}, {"minutes": 3.0, "ratio": 1.3}] in rows


def test_bars_leave_out_what_was_not_measured() -> None:
    import pandas as pd

    groups = pd.DataFrame(
        {"gpu": ["a", "b"], "kind": "dense", "tpot": [0.1, None], "tpot points": [3, 0], "tpot models": [1, 0]}
    )
    chart = error_bars(groups, "tpot").to_dict()
    ((row,),) = chart["datasets"].values()
    assert (row["gpu"], row["error"], chart["title"]) == ("a", 0.1, "TPOT")
    assert error_bars(groups.rename(columns=lambda name: name.replace("tpot", "throughput")), "throughput").title == (
        "throughput"
    )


def test_knees_are_told_by_their_rates() -> None:
    knee = {"series": "a", "rates_rps": [0.5, 2.0, 8.0], "measured_step": 1, "simulated_step": 3}
    assert knee_rows([knee]) == [["a", "0.5, 2, 8", "2", "never"]]
    assert knee_rows([{**knee, "measured_step": 0, "simulated_step": 2}]) == [["a", "0.5, 2, 8", "0.5", "8"]]
    assert "| a" in docs._knees([knee])


def test_the_printed_table_has_a_line_for_each_regime_and_group() -> None:
    metrics = {"tpot": {**ERRORS, "coverage": 0.9}}
    nothing: dict[str, Any] = {key: {} for key in ("by_gpu", "by_family", "by_dataset", "by_load_level")}
    result = {"overall": metrics, "saturated": metrics, "burst": metrics, **nothing, "by_gpu": {"h100": metrics}}
    rows = table_rows(result)
    assert [row[0] for row in rows] == ["all rows below saturation", "saturated", "burst", "GPU h100"]
    assert {len(row) for row in rows} == {len(HEADERS)}
    assert rows[0][1:] == ["12", "3.1%", "15.4%", "-2.1%", "90%", *["-"] * 15]


@pytest.mark.parametrize(
    ("given", "cell"),
    [
        ({}, "3.1 / 15 / -2 (12)"),
        ({"coverage": 0.9}, "3.1 / 15 / -2 (12, 90 %)"),
        ({"bias": 0.021}, "3.1 / 15 / +2 (12)"),
    ],
)
def test_a_cell_of_the_documents(given: dict[str, float], cell: str) -> None:
    assert docs._cells({"throughput": {**ERRORS, **given}, "ttft": {"rows": 0}}) == [
        cell if metric == "throughput" else "" for metric in docs.METRICS
    ]


def test_tables_of_the_documents() -> None:
    def cells(text: str) -> list[list[str]]:
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]

    error = {"tpot": ERRORS}
    result = {
        "overall": error,
        "saturated": {},
        "burst": {},
        "fitted_sources": {"below saturation": error, "burst": {}},
        "compared_only": {"saturated": error},
        "by_file": {"points.csv": error},
    }
    at = 1 + docs.METRICS.index("tpot")
    summary = cells(docs._summary(result))
    assert [row[0] for row in summary if not set(row[0]) <= set("-:")] == [
        *("rows", "below saturation", "saturated", "burst"),
        *("without those only compared, below saturation", "only compared, saturated", "points.csv, below saturation"),
    ]
    assert [row[at] for row in summary[2:]] == ["3.1 / 15 / -2 (12)", "", "", *["3.1 / 15 / -2 (12)"] * 3]
    spreads = cells(docs._spreads(result, {"wide": {"overall": error, "saturated": {}, "burst": error}}))
    assert [row[0] for row in spreads[2:]] == [f"wide, {name}" for name in ("below saturation", "saturated", "burst")]
    assert [row[at] != "" for row in spreads[2:]] == [True, False, True]
    worst = {"row_id": "r" * 60, "model": "m", "gpus": 2, "gpu": "h100", "dtype": "fp8", "regime": "burst"}
    (row,) = cells(docs._worst([{**worst, "measured": 0.0125, "simulated": 0.02, "error": 0.6}]))[2:]
    assert row == ["r" * 48, "m", "2 x h100", "fp8", "burst", "12.5", "20.0", "+60 %"]
    left_out = [Excluded("a", "1", "no model"), Excluded("b", "2", "no GPU"), Excluded("c", "3", "no model")]
    assert cells(docs._excluded(SimpleNamespace(excluded=left_out)))[2:] == [["2", "no model"], ["1", "no GPU"]]  # type: ignore[arg-type]


def quantity(value: float, low: float | None = None, high: float | None = None) -> Any:
    return SimpleNamespace(value=value, low=low, high=high)


def test_ranges_of_fitted_figures() -> None:
    assert docs._range(quantity(12.345e-6)) == "12.3"
    assert docs._range(quantity(12.345e-6, 10e-6, 15e-6)) == "12.3 (10 to 15)"
    assert docs._share(quantity(0.876)) == "0.88"
    assert docs._share(quantity(0.876, 0.8, 0.95)) == "0.88 (0.80 to 0.95)"


def test_a_file_that_is_no_object_is_told_by_its_name() -> None:
    assert _json(b'{"a": [1]}', "ours.json") == {"a": [1]}
    for content, said in ((b"[1, 2]", "is not a JSON object"), (b"{1", "is not JSON: ")):
        with pytest.raises(InputError) as told:
            _json(content, "ours.json")
        (problem,) = told.value.problems
        assert (problem.file, problem.message.startswith(said)) == ("ours.json", True)
