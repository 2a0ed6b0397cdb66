"""Published results simulated and compared: known answers, laws, the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrate.serving.forecast import prepare, prepare_runs, simulate_case, simulate_runs
from calibrate.serving.knee import knees
from calibrate.serving.measured import ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.names import NotSupported
from calibrate.serving.parameters import present_values
from calibrate.serving.read import read_tables
from calibrate.serving.report import as_json, compare_rows, line_rows
from calibrate.serving.score import BELOW, BURST, SATURATED, regime, score
from calibrate.serving.sources import engine_limits, engine_version
from calibrate.serving.steps import catalog_steps
from calibrate.serving.targets import missed
from calibrate.serving.trial import overheads_of, trial_steps
from simulator.cli.main import _run

DATA = Path(__file__).parents[1] / "data" / "serving"
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "serving"


def row(row_id: str) -> MeasuredRow:
    return next(one for one in read_tables([DATA / "points.csv"]).rows if one.row_id == row_id)


def simulated_table(folder: Path, factor: float) -> Path:
    """The table with its figures replaced by the simulator's own, latencies and inverse rates times `factor`."""
    with (DATA / "points.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        for name in list(line):
            if name.endswith(("_tok_s", "_rps")) or (name.endswith("_ms") and "_mean_" not in name):
                line[name] = ""
        figures = simulate_runs(prepare_runs(row(line["row_id"])), catalog_steps).figures
        for metric in ("ttft", "tpot", "e2e"):
            line[f"{metric}_mean_ms"] = repr(1000 * factor * figures[metric, "mean"])
        line["throughput_tok_s"] = repr(figures["throughput", "total"] / factor)
    path = folder / "simulated.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_known_errors_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float) -> None:
    path = simulated_table(tmp_path, factor)
    capsys.readouterr()
    code = _run(["verify", "gpu", str(path), "--format", "json", "--check", "--quiet"])
    text = capsys.readouterr().out
    result = json.loads(text)
    expected = 1 - 1 / factor
    for metric in ("tpot", "ttft", "e2e"):
        assert result["overall"][metric]["median_abs_error"] == pytest.approx(expected)
        assert result["overall"][metric]["bias"] == pytest.approx(-expected)
    assert result["overall"]["throughput"]["median_abs_error"] == pytest.approx(factor - 1)
    assert result["burst"]["throughput"]["bias"] == pytest.approx(factor - 1)
    assert result["by_gpu"]["h100-sxm"]["tpot"]["median_abs_error"] == pytest.approx(expected)
    assert result["by_model"]["qwen3-14b"]["tpot"]["rows"] == 1
    assert code == (1 if factor > 1 else 0)
    assert _run(["verify", "gpu", str(path), "--format", "json", "--quiet"]) == 0
    assert capsys.readouterr().out == text


def test_every_row_is_told_with_the_error_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = simulated_table(tmp_path, 1.25)
    capsys.readouterr()
    assert _run(["verify", "gpu", str(path), "--format", "csv", "--quiet"]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {line["row_id"] for line in lines} == {"open", "closed", "burst", "constant"}
    for line in lines:
        error = float(line["error"])
        assert error == pytest.approx(float(line["simulated"]) / float(line["measured"]) - 1)
        assert line["within"] == str(abs(error) <= float(line["stated_p90"]))
    table = compare_rows(read_tables([path]), catalog_steps)
    result = as_json(table)
    assert len(result["lines"]) == len(lines)
    kept = [line for line in lines if line["regime"] == BELOW and line["metric"] == "tpot"]
    share = sum(line["within"] == "True" for line in kept) / len(kept)
    assert result["overall"]["tpot"]["coverage"] == pytest.approx(share)
    assert all(f"{line['row_id']}" in {row[0] for row in line_rows(table.lines)} for line in lines)


def test_the_command_refuses_bad_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["verify", "gpu"]) == 2
    assert "needed columns: model, gpu, tp" in capsys.readouterr().err
    bad = tmp_path / "bad.csv"
    bad.write_text((DATA / "points.csv").read_text(encoding="utf-8").replace(",8,7.9,534", ",800,7.9,534"))
    assert _run(["verify", "gpu", str(bad)]) == 2
    assert "bad.csv:2: tpot_mean_ms: TPOT is above E2E" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_plots_and_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plots, document = tmp_path / "plots.html", tmp_path / "accuracy.md"
    document.write_text("# Accuracy\n\nKept.\n", encoding="utf-8")
    arguments = ["verify", "gpu", str(DATA / "points.csv"), "--quiet", "--write-docs", str(document)]
    assert _run([*arguments, "--plots", str(plots)]) == 0
    once = document.read_text(encoding="utf-8")
    assert _run(arguments) == 0
    assert "measured TPOT" in plots.read_text(encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    assert text == once
    assert text.startswith("# Accuracy\n\nKept.\n")
    assert text.count("## Serving: published results") == 1
    assert "| h100-sxm" in text
    assert "below saturation" in capsys.readouterr().out


def test_a_closed_loop_obeys_littles_law() -> None:
    case = prepare(row("closed"))
    figures = simulate_case(case, catalog_steps(case)).figures
    in_flight = figures["throughput", "requests"] * figures["e2e", "mean"]
    assert 0.9 * 8 < in_flight <= 8


def test_ranks_of_a_dense_model_are_engines_that_share_the_requests() -> None:
    """Twice the users on two ranks: each serves as one alone, and the experts of others are shared."""
    one = row("closed")
    two = replace(one, dp=2, load=ClosedLoop(16))
    alone, both = (simulate_case(case, catalog_steps(case)) for case in (prepare(one), prepare(two)))
    assert both.figures["tpot", "mean"] == pytest.approx(alone.figures["tpot", "mean"], rel=0.08)
    assert both.figures["throughput", "total"] == pytest.approx(2 * alone.figures["throughput", "total"], rel=0.08)
    assert (both.kv_tokens, prepare(two).engine.layout.dp) == (2 * alone.kv_tokens, 1)
    experts = replace(two, model="qwen3-30b-a3b", gpu="h100-sxm", dtype="bf16", expert_parallel=True)
    assert prepare(experts).engine.layout.dp == 2


@pytest.mark.parametrize(
    ("changes", "capture"),
    [
        ({"measured_on": "2026-03-27", "engine_version": "0.18.0"}, 2048),
        ({"measured_on": "2025-12-08", "engine_version": "0.11.2"}, 2048),
        ({"measured_on": "2025-11-02", "engine_version": ""}, None),
    ],
)
def test_an_engine_is_set_as_its_source_says_on_that_day(changes: dict[str, str], capture: int | None) -> None:
    """What the catalog and the fit's trial values make of the same row is the same."""
    one = replace(row("open"), dataset="inferencex", model="gpt-oss-120b", gpu="h200", dtype="mxfp4", **changes)
    one = replace(one, limits={}, load=ClosedLoop(16), async_scheduling=None)
    case = prepare(one)
    assert case.engine.layout.weights.experts_kernel == "int4", "Marlin, as told or by the version"
    assert overheads_of(one, {}).captured_tokens == (capture or 0)
    assert engine_version(replace(one, measured_on="2025-11-02", engine_version="")) == "0.10.2"
    told, tried = catalog_steps(case), trial_steps(present_values(), case)
    np.testing.assert_allclose(tried.token_time_s, told.token_time_s, rtol=1e-12)
    np.testing.assert_allclose(tried.seq_time_s, told.seq_time_s, rtol=1e-12)


def test_a_token_budget_may_follow_the_prompts() -> None:
    one = replace(row("open"), dataset="inferencex", model="minimax-m2.5", engine_version="0.19.0", limits={})
    assert engine_limits(one)["max_num_batched_tokens"] == 2 * one.isl
    assert engine_limits(replace(one, engine_version="0.17.0"))["max_num_batched_tokens"] == 8192


def test_an_earlier_pass_of_the_same_prompts_shortens_the_prefill() -> None:
    base = replace(row("open"), isl=4000.0, prefix_caching=None, limits={})
    source = replace(base, dataset="iog", load=OpenLoop(4.0, "poisson"))
    first = replace(source, load=OpenLoop(32.0, "poisson"))

    def ttft(one: MeasuredRow) -> float:
        case = prepare(one)
        return simulate_case(case, catalog_steps(case)).figures["ttft", "p50"]

    assert ttft(source) < 0.6 * ttft(replace(source, prefix_caching=False)) < ttft(first)


def test_more_than_the_gpus_can_compute_is_not_believed() -> None:
    fast = {("ttft", "mean"): 0.01, ("tpot", "mean"): 0.001}
    with pytest.raises(NotSupported, match="% of the peak compute"):
        prepare(replace(row("closed"), figures=fast, isl=4000.0))


def test_what_is_longer_than_the_context_is_left_out() -> None:
    with pytest.raises(NotSupported, match="131200 tokens do not fit the context of 131072 tokens"):
        prepare(replace(row("open"), isl=131000.0, generated_tokens=200.0))


def test_requests_beyond_the_clients_patience_count_as_failed() -> None:
    crowd = replace(row("open"), load=OpenLoop(100.0, "poisson"), num_requests=20000, generated_tokens=1000.0)
    patient, impatient = prepare(crowd), prepare(replace(crowd, dataset="blis_training"))
    all_served = simulate_case(patient, catalog_steps(patient))
    served = simulate_case(impatient, catalog_steps(impatient))
    assert all_served.completed == 20000
    assert served.completed < 20000
    assert served.figures["e2e", "p99"] <= 300


def test_regimes() -> None:
    one = row("open")
    case = prepare(one)
    forecast = simulate_case(case, catalog_steps(case))
    assert regime(one, forecast) == BELOW
    assert regime(replace(one, figures={("ttft", "mean"): 3.0}), forecast) == SATURATED
    slow = {("throughput", "requests"): 2.0, ("e2e", "mean"): 0.5}
    assert regime(replace(one, figures=slow), forecast) == SATURATED
    assert regime(row("burst"), forecast) == BURST
    full = replace(forecast, kv_tokens=100)
    assert regime(row("closed"), full) == SATURATED


def test_the_knee_of_a_series() -> None:
    one = row("open")
    case = prepare(one)
    forecast = simulate_case(case, catalog_steps(case))
    series = []
    for rate, measured, simulated in ((1.0, 0.02, 0.02), (2.0, 0.03, 0.05), (4.0, 0.06, 0.2)):
        at = replace(one, load=OpenLoop(rate, "poisson"), figures={("ttft", "p50"): measured})
        series.append(score(at, replace(forecast, figures={("ttft", "p50"): simulated})))
    (knee,) = knees(series)
    assert (knee.measured, knee.simulated, knee.steps_apart) == (2, 1, 1)
    assert not missed({"overall": {}, "saturated": {}, "burst": {}, "knees": []})


@pytest.mark.exhaustive
@pytest.mark.skipif(not SHARED.exists(), reason="the published results are not here")
def test_the_published_results_are_met() -> None:
    table = read_tables([SHARED / "serving_points.csv"])
    assert len(table.rows) >= 80
    result = as_json(compare_rows(replace(table, rows=table.rows[::3]), catalog_steps))
    assert result["overall"]["tpot"]["median_abs_error"] < 0.12
    assert result["overall"]["throughput"]["median_abs_error"] < 0.08
