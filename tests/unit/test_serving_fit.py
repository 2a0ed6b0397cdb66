"""The fit of engine overheads: known values are found again, folds are honest, what is written can be read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibrate.serving.crossval import ALL, Validation, coverage, cross_validate, error_groups, tables
from calibrate.serving.fit import Fit, Forecasts, Parameter, Runs, fit, refit_without
from calibrate.serving.forecast import Forecast, prepare_runs, simulate_runs
from calibrate.serving.measured import MeasuredRow, OpenLoop
from calibrate.serving.parameters import PARAMETERS, present_values
from calibrate.serving.publish import write_errors, write_overheads
from calibrate.serving.read import ServingTable, read_tables
from calibrate.serving.score import BELOW, BURST, SATURATED
from calibrate.serving.select import MOST_PER_SERIES, fit_runs
from calibrate.serving.trial import overheads_of, trial_steps
from simulator.catalog.expected import LEAST_ROWS, error_table, expected_error
from simulator.catalog.overheads import (
    engine_overheads,
    expert_rows,
    family_rows,
    front_end,
    link_rows,
    overhead_rows,
    penalty_seq_s,
)

POINTS = Path(__file__).parents[1] / "data" / "serving" / "points.csv"
TWO = (
    Parameter("exposed_s", 1e-3, 1e-5, 1e-1, "s", 10.0),
    Parameter("request_s", 1e-3, 1e-5, 1.0, "s", 10.0),
)


def measured_with(values: dict[str, float], model: str, gpu: str) -> MeasuredRow:
    """A row whose figures are what the simulator gives with these overheads."""
    base = next(one for one in read_tables([POINTS]).rows if one.row_id == "open")
    row = replace(base, row_id=f"{model} {gpu}", model=model, gpu=gpu, load=OpenLoop(1.0, "poisson"), num_requests=30)
    figures = simulate_runs(prepare_runs(row), partial(trial_steps, values)).figures
    return replace(row, figures=figures)


PLACES = (("llama-3.1-8b", "h100-sxm"), ("qwen3-14b", "a100-80"), ("qwen3-4b", "l40s"))


def runs_with(values: dict[str, float]) -> tuple[Runs, ...]:
    return tuple(prepare_runs(measured_with(values, *place)) for place in PLACES)


def test_known_overheads_are_found_again() -> None:
    truth = {"exposed_s": 4e-3, "request_s": 2e-2}
    found = fit(runs_with(truth), TWO, rounds=12)
    for name, value in truth.items():
        assert found.values[name] == pytest.approx(value, rel=0.1)
    assert np.abs(found.residuals).max() < 0.05, "weighted log errors, within what discrete batches jump"


def linear(owners: list[int], measured: list[float]) -> Fit:
    """A fit whose single parameter shifts every log error alike."""
    residuals = np.array(measured)
    return Fit({"exposed_s": 1e-3}, np.ones((len(owners), 1)), residuals, np.array(owners), {"exposed_s": 0.1})


def test_no_round_stays_where_it_begins_and_knows_the_slopes() -> None:
    """So the errors to expect of the catalog's own values can be written without a new fit."""
    begin = {"exposed_s": 1e-3, "request_s": 2e-2}
    result = fit(runs_with({"exposed_s": 4e-3, "request_s": 2e-2}), TWO, rounds=0, begin=begin)
    assert result.values == pytest.approx(begin)
    assert np.abs(result.residuals).max() > 0.1
    assert np.abs(result.jacobian).max(axis=0).min() > 0.05


def test_a_fold_forgets_its_rows() -> None:
    free = (Parameter("exposed_s", 1e-3, 1e-5, 1e-1, "s", 1e6),)
    result = linear([0, 1, 2], [0.02, 0.02, -0.04])
    without_last = refit_without(result, free, np.array([False, False, True]))
    assert np.log(without_last["exposed_s"] / 1e-3) == pytest.approx(-0.02, abs=1e-4)
    without_first = refit_without(result, free, np.array([True, False, False]))
    assert np.log(without_first["exposed_s"] / 1e-3) == pytest.approx(0.01, abs=1e-3)


def test_a_fold_leaves_out_the_rows_that_were_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are forecast, some in another order are fitted on: a fold goes by their names."""
    free = (Parameter("exposed_s", 1e-3, 1e-5, 1e-1, "s", 1e6),)
    l40s, a100, h100 = (prepare_runs(measured_with({"exposed_s": 1e-3}, model, gpu)) for model, gpu in PLACES[::-1])
    seen: list[tuple[str, float]] = []

    def forecast(values: dict[str, float], cases: Runs) -> Forecast:
        seen.append((cases[0].row.gpu, float(np.log(values["exposed_s"] / 1e-3))))
        return Forecast(dict(cases[0].row.figures), 1, 0.1, 10**6, 1.0)

    monkeypatch.setattr("calibrate.serving.crossval.trial_forecast", forecast)
    result = linear([0, 1], [0.02, -0.04])
    cross_validate([l40s, a100, h100], [h100, l40s], result, free)
    by_gpu = dict(seen[3:6])
    assert by_gpu["h100-sxm"] == pytest.approx(0.04, abs=1e-3), "what is left is the other's error"
    assert by_gpu["l40s"] == pytest.approx(-0.02, abs=1e-3)
    assert by_gpu["a100-80"] == pytest.approx(0.01, abs=1e-3), "it was not fitted on, so nothing is left out"


def test_without_rows_a_parameter_is_what_was_expected() -> None:
    expected = (Parameter("exposed_s", 5e-3, 1e-5, 1e-1, "s", 0.5),)
    result = linear([0, 0], [0.3, 0.3])
    assert refit_without(result, expected, np.array([True]))["exposed_s"] == pytest.approx(5e-3)


def test_cross_validation_and_what_is_written(tmp_path: Path) -> None:
    runs = runs_with({"exposed_s": 1e-3, "request_s": 1e-3})
    start = {one.name: one.start for one in PARAMETERS}
    none = np.zeros((0, len(PARAMETERS)))
    result = Fit(start, none, np.zeros(0), np.zeros(0, np.int64), dict.fromkeys(start, 0.1))
    validation = cross_validate(runs, runs, result, PARAMETERS)
    assert len(validation.in_sample) == len(validation.model) == len(validation.gpu)
    groups = error_groups(validation)
    measured = [group[metric] for group in groups for metric in ("tpot", "ttft", "throughput")]
    assert all((found["rows"] >= LEAST_ROWS) == (found["error"] is not None) for found in measured)
    write_overheads(result, PARAMETERS, "2026-11-24", tmp_path)
    write_errors(groups, tables(validation, groups), "2026-11-24", tmp_path)
    text = (tmp_path / "engine_overheads.yaml").read_text(encoding="utf-8")
    assert text.count("launch_layer_s") == 3
    assert "consumer" in text
    assert "model left out" in (tmp_path / "expected_errors.yaml").read_text(encoding="utf-8")


def lines(
    gpu: str,
    regime: str,
    metric: str,
    error: float,
    documented: bool = True,
    dataset: str = "a",
    rows: int = LEAST_ROWS,
) -> pd.DataFrame:
    names = {"gpu": gpu, "model": "llama-3.1-8b", "regime": regime, "metric": metric, "documented": documented}
    names |= {"compared_only": False}
    return pd.DataFrame([names | {"error": error, "dataset": dataset, "gpus": 1, "dtype": "bf16"}] * rows)


def test_an_expected_error_takes_each_metric_where_it_says_something() -> None:
    seen = pd.concat(
        [
            lines("h100-sxm", BELOW, "tpot", 0.1),
            lines("h100-sxm", BELOW, "ttft", -0.2),
            lines("h100-sxm", BELOW, "ttft", 5.0, documented=False),
            lines("h100-sxm", BELOW, "throughput", 0.0),
            lines("h100-sxm", SATURATED, "throughput", 0.3),
            lines("h100-sxm", SATURATED, "throughput", 0.2, dataset="b", rows=16),
            lines("h100-sxm", BURST, "throughput", -0.9, dataset="c", rows=30),
            lines("h100-sxm", BURST, "tpot", -0.6, dataset="c"),
            lines("h100-sxm", SATURATED, "tpot", 0.7, rows=LEAST_ROWS + 2),
            lines("a100-80", BURST, "throughput", -0.4),
            lines("l40s", BELOW, "tpot", 0.1).head(LEAST_ROWS - 1),
        ]
    )
    groups = {
        group["gpu"]: group for group in error_groups(Validation(seen, seen, seen, seen)) if group["kind"] == "dense"
    }
    known = groups["h100-sxm"]
    assert [known[metric]["error"] for metric in ("tpot", "ttft", "throughput")] == [0.1, 0.2, 0.3]
    assert [known["tpot_full"][share] for share in ("error", "p90", "rows")] == [0.7, 0.7, 2 * LEAST_ROWS + 2]
    assert groups["a100-80"]["tpot_full"]["error"] is None
    rows = LEAST_ROWS, LEAST_ROWS, LEAST_ROWS + 16 + 30
    assert tuple(known[metric]["rows"] for metric in ("tpot", "ttft", "throughput")) == rows
    assert [groups["a100-80"][metric]["error"] for metric in ("tpot", "throughput")] == [None, 0.4]
    assert "l40s" not in groups
    doubted = pd.concat([seen, lines("h100-sxm", BELOW, "tpot", 9.0, rows=99).assign(compared_only=True)])
    found = error_groups(Validation(doubted, doubted, doubted, doubted))
    assert next(group for group in found if group["gpu"] == "h100-sxm") == known, "rows only compared say nothing"


def test_a_stated_error_is_held_against_a_source_that_it_does_not_come_from() -> None:
    """What a source with errors of 10 % states is kept by one with 5 % and not by one with 50; not by its own rows."""
    rows = pd.concat(
        [
            lines("h100-sxm", BELOW, "tpot", 0.1, dataset="a", rows=4 * LEAST_ROWS),
            lines("h100-sxm", BELOW, "tpot", -0.05, dataset="b"),
            lines("h100-sxm", BELOW, "tpot", 0.5, dataset="c"),
            lines("h100-sxm", BELOW, "tpot", 9.0, dataset="a").assign(compared_only=True),
        ]
    )
    found = coverage(rows)
    assert {source: of[BELOW]["tpot"]["coverage"] for source, of in found.items() if source != ALL} == {
        "a": 1.0,
        "b": 1.0,
        "c": 0.0,
    }
    assert found[ALL][BELOW]["tpot"] == {"rows": 6 * LEAST_ROWS, "coverage": pytest.approx(5 / 6)}
    alone = lines("h100-sxm", BELOW, "tpot", 0.1)
    assert coverage(alone)[ALL][BELOW] == {}, "no other source states an error"


def test_a_parameter_that_bears_on_no_row_costs_no_simulation() -> None:
    runs = runs_with({"exposed_s": 1e-3})
    forecasts = Forecasts(runs)
    base = {one.name: one.start for one in PARAMETERS}
    first = forecasts(base)
    count = len(forecasts.known)
    assert forecasts(base | {"host_factor": 9.0, "compute.blackwell": 0.5}) == first
    assert len(forecasts.known) == count == len(runs)
    assert forecasts(base | {"compute.hopper": 0.5}) != first
    assert len(forecasts.known) == count + 1


@pytest.mark.parametrize(("stated", "share"), [(0.3, 1.0), (0.2, 0.0)])
def test_the_share_within_is_of_the_errors_that_are_written_beside_it(stated: float, share: float) -> None:
    """Not of those that the catalog stated while rows were forecast."""
    seen = lines("h100-sxm", "below saturation", "tpot", -0.3).assign(within=stated < 0.3)
    validation = Validation(seen, seen, seen, seen)
    groups = [group | {"tpot": group["tpot"] | {"p90": stated}} for group in error_groups(validation)]
    written = tables(validation, groups)
    for fold in ("in sample", "model left out", "GPU left out", "source left out"):
        assert written["a"][fold]["below saturation"]["tpot"]["coverage"] == share
        assert written[ALL][fold]["below saturation"]["tpot"]["coverage"] == share


def test_a_long_series_is_thinned() -> None:
    row = next(one for one in read_tables([POINTS]).rows if one.row_id == "open")
    rows = tuple(replace(row, row_id=str(k), load=OpenLoop(1.0 + k, "poisson")) for k in range(30))
    chosen = fit_runs(ServingTable(rows, ()))
    assert len(chosen.all) == 30
    assert len(chosen.composed) == MOST_PER_SERIES
    assert [runs[0].row.row_id for runs in (chosen.composed[0], chosen.composed[-1])] == ["0", "29"]
    b200 = tuple(replace(one, dataset="mlenergy", gpu="b200") for one in rows)
    assert not fit_runs(ServingTable(b200, ())).composed, "a source to compare with, not to fit on"


def test_trial_values_speak_for_their_generation() -> None:
    row = next(one for one in read_tables([POINTS]).rows if one.row_id == "open")
    values = {"exposed_seq_s.0.8": 1.0, "exposed_seq_s.0.10": 2.0, "exposed_seq_s.0.14": 3.0, "host_factor": 3.0}
    for version, value in (("0.8.5", 1.0), ("0.11.0", 2.0), ("0.15.1", 3.0), ("", 3.0)):
        assert overheads_of(replace(row, engine_version=version), values).exposed_seq_s == value
    home = overheads_of(replace(row, gpu="rtx-4090", engine_version="0.8.5"), values)
    assert home.exposed_seq_s == 3.0
    assert home.request_s == engine_overheads("0.8.5").request_s


def test_a_machine_is_planned_and_fitted_with_the_links_that_its_source_says() -> None:
    """LLMServingSim's pair of RTX PRO 6000 moves 16 GB/s; by the tables a large all-reduce over two gets 40. Both
    all-reduces of 64 layers carry 2,048 tokens of 5,120 values in 16 bit."""
    row = next(one for one in read_tables([POINTS]).rows if one.row_id == "open")
    row = replace(row, model="qwen3-32b", gpu="rtx-pro-6000", dtype="bf16", tp=2, engine_version="0.19.0")
    (own, *_), (other, *_) = (prepare_runs(replace(row, dataset=name)) for name in ("llmservingsim", "blis_training"))
    slow, fast = (one.engine.step_time.token_time_s[0, 2048] for one in (own, other))
    assert slow - fast == pytest.approx(2 * 64 * 2048 * 5120 * 2 * (1 / 16e9 - 1 / 40e9), rel=0.1)
    for case in (own, other):
        planned = case.engine.step_time.token_time_s
        np.testing.assert_allclose(trial_steps(present_values(), case).token_time_s, planned, rtol=1e-9)


FIELDS = {"experts": "shares", "products": "products", "tuned": "tuned"}


def test_every_parameter_has_its_place_in_the_catalog() -> None:
    names = {one.name for one in PARAMETERS}
    assert {f"compute.{row.name}" for row in family_rows()} <= names
    assert {f"links.{row.name}" for row in link_rows()} <= names
    for name in names - {"host_factor"}:
        head, _, tail = name.partition(".")
        if head in ("experts", "products", "tuned"):
            weights, since = tail.split(".", 1)
            assert any(row.since == since and weights in getattr(row, FIELDS[head]) for row in expert_rows()), name
            continue
        known = head in ("compute", "links", "penalty_seq_s") or hasattr(front_end(), head)
        known |= head == "eager_layer_s" and any(row.name == tail and row.eager_layer_s for row in family_rows())
        assert known or hasattr(overhead_rows()[0], head)
        places = (*family_rows(), *link_rows())
        assert not tail or tail in {row.since for row in overhead_rows()} | {row.name for row in places}


def test_an_expected_error_rests_on_the_nearest_group() -> None:
    table = {(group.gpu, group.kind): group for group in error_table().groups}
    own, other = table["h100-sxm", "dense"], table["other", "dense"]
    known = expected_error("h100-sxm", experts=False)
    assert (known.tpot, known.tpot_p90) == (own.tpot.error, own.tpot.p90)
    assert f"TPOT from {own.tpot.rows} published points of {own.tpot.models} dense models on h100-sxm" in known.basis
    assert f"throughput from {other.throughput.rows} published points" in known.basis, "six of its own tell no p90"
    unknown = expected_error("mi300x", experts=False)
    assert (unknown.tpot, unknown.tpot_p90) == (other.tpot.error, other.tpot.p90)
    assert unknown.basis.count("each GPU left out") == 4


def test_an_expected_error_tells_its_fit_and_the_day_of_its_forecasts() -> None:
    table = error_table()
    fit = penalty_seq_s().date
    assert expected_error("h100-sxm", experts=False).basis.endswith(f"; {table.fitted}")
    same, later = (
        table.model_copy(update={"basis": table.basis.model_copy(update={"date": day})}) for day in (fit, "2099-01-01")
    )
    assert (same.fitted, later.fitted) == (f"fit of {fit}", f"fit of {fit}, errors of 2099-01-01")


def test_a_gpu_with_points_of_one_model_has_no_less_error_than_all_gpus() -> None:
    """H200 has many points of one dense model; B300 has them of one with experts, off by more than most."""
    table = {(group.gpu, group.kind): group for group in error_table().groups}
    for name, kind in (("h200", "dense"), ("b200", "dense"), ("b300", "experts")):
        own, other = table[name, kind].tpot, table["other", kind].tpot
        assert own.models < 3
        found = expected_error(name, experts=kind == "experts")
        assert (found.tpot, found.tpot_p90) == (max(own.error, other.error), max(own.p90, other.p90))
        assert f"1 {kind} model on {name}, each model left out in turn and {other.rows} published points" in found.basis


def test_each_metric_says_what_it_rests_on() -> None:
    """B200 has points of its TPOT alone."""
    other = next(group for group in error_table().groups if (group.gpu, group.kind) == ("other", "dense"))
    found = expected_error("b200", experts=False)
    assert "TPOT from 88 published points of 1 dense model on b200" in found.basis
    ttft = (
        f"TTFT from {other.ttft.rows} published points of {other.ttft.models} dense models on {other.ttft.gpus} other"
    )
    assert f"{ttft} GPUs, each GPU left out in turn" in found.basis
    assert found.ttft == expected_error("mi300x", experts=False).ttft
