"""What `calibrate fit`, `validate` and `profile` print, write and exit with, for results that are made up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calibrate.commands.fit import fit, model_name
from calibrate.commands.profile import profile
from calibrate.commands.tolerances import Tolerances
from calibrate.commands.validate import _loads, validate
from calibrate.experiments.loads import Lengths, Load
from calibrate.fit.fit import Fit, RegimeError
from calibrate.fit.plots import step_frame, write_plots
from calibrate.fit.solve import Solution, predict_s
from calibrate.recording.run import read_run
from calibrate.validate.compare import Comparison, Row, Tolerance
from calibrate.validate.report import _cdf, as_json, heading, table_rows, write_report
from calibrate.validate.simulate import Served
from simulator.catalog.profiles import read_profile
from simulator.errors import InputError
from simulator.perf.profile import COEFFICIENTS, LAUNCHES, StepCoefficients

RECORDING = Path(__file__).parents[1] / "data/vllm-runs/small-llama-cpu.json"
VALUES = (0.001, 0.002, 3e-5, 4.0, 5e-6, 6e-9, 7e-9, 0.008, 0.009)
GOOD = {
    "prefill": RegimeError(11, 0.01, 0.02, -0.03),
    "decode": RegimeError(22, 0.15, 0.25, 0.04),
    "mixed": RegimeError(33, 0.05, 0.06, 0.07),
}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without what draws their charts, which takes seconds to bundle."""
    monkeypatch.setattr("simulator.report.page.vl_convert", SimpleNamespace(javascript_bundle=lambda _: ""))


def made_up(held_out: dict[str, RegimeError] = GOOD) -> Fit:
    coefficients = StepCoefficients(np.array(VALUES), np.array([4.0]), np.array([1.125]), np.array([1, 2]))
    solution = Solution(coefficients, np.array(VALUES), np.diag(np.arange(9.0)))
    in_sample = {"decode": RegimeError(44, 0.08, 0.09, 0.1)}
    ranges = {
        name: (1.0 + k, 10.0 + k) for k, name in enumerate(("tokens", "sequences", "prefill_units", "decode_context"))
    }
    return Fit(solution, in_sample, held_out, 0.0625, 0.0011, 0.00012, ranges)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked to be fitted; `held_out` of the module's fit may be replaced."""
    asked: list[tuple[Any, ...]] = []

    def fit_steps(steps: Any, captured: Any, file: str) -> Fit:
        asked.append((len(steps), captured, file))
        return made_up()

    monkeypatch.setattr("calibrate.fit.fit.fit_steps", fit_steps)
    return asked


def test_a_fit_is_written_as_a_profile_that_is_read(
    fitted: list[tuple[Any, ...]], tmp_path: Path, capsys: Capture
) -> None:
    recording = read_run(RECORDING)
    out = tmp_path / "own.json"
    assert fit(RECORDING, out=out, name="mine", gpu="h100-sxm", dtype="fp8", tp=2, pp=3) == 0
    assert fitted == [(len(recording.steps), recording.capture_sizes, str(RECORDING))]
    value, found = json.loads(out.read_text("utf-8")), read_profile(out)
    assert dict(zip((*COEFFICIENTS, *LAUNCHES), VALUES, strict=True)) == value["coefficients"]
    assert (found.name, found.gpu, found.tp, found.pp, found.dtype) == ("mine", "h100-sxm", 2, 3, "fp8")
    config = recording.config
    assert value["engine"] == {
        "tp": 2,
        "pp": 3,
        "dtype": "fp8",
        "block_size": config.block_size,
        "num_gpu_blocks": config.num_blocks,
        "max_num_batched_tokens": config.max_num_batched_tokens,
        "max_num_seqs": config.max_num_seqs,
        "max_model_len": config.max_model_len,
    }
    assert value["errors"]["held_out"]["decode"] == {"points": 22, "median": 0.15, "p90": 0.25, "bias": 0.04}
    assert value["errors"]["in_sample"] == {"decode": {"points": 44, "median": 0.08, "p90": 0.09, "bias": 0.1}}
    assert value["ranges"] == {
        "tokens": [1.0, 10.0],
        "sequences": [2.0, 11.0],
        "prefill_units": [3.0, 12.0],
        "decode_context": [4.0, 13.0],
    }
    assert value["correction"] == {"tokens": [4.0], "ratio": [1.125]}
    assert value["relative_covariance"] == np.diag(np.arange(9.0)).tolist()
    assert (value["capture_sizes"], value["steps"]) == (list(recording.capture_sizes), len(recording.steps))
    assert (value["between_steps_s"], value["between_sequence_s"], value["outlier_share"]) == (0.0011, 0.00012, 0.0625)
    assert isinstance(value["errors"]["held_out"]["decode"]["points"], int)
    assert (value["request_overhead_s"], value["expected_error"]) == (0.0, None)
    assert value["sources"] == {RECORDING.name: hashlib.sha256(RECORDING.read_bytes()).hexdigest()}
    assert (value["device"], value["vllm_version"]) == (recording.device, recording.vllm_version)
    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    assert ["token_s", "3e-05"] in lines
    assert ["decode", "22", "15.0", "%", "25.0", "%", "4.0", "%"] in lines
    assert ["prefill", "11", "1.0", "%", "2.0", "%", "-3.0", "%"] in lines
    assert f"{len(recording.steps)} steps, 6.2 % outliers" in told.out
    assert told.out.endswith(f"profile: {out}\n")
    assert told.err == ""


@pytest.mark.parametrize(("median", "code"), [(0.15, 0), (0.1501, 1)])
def test_a_fit_that_is_not_to_be_trusted_exits_with_1(
    median: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    held_out = {**GOOD, "mixed": replace(GOOD["mixed"], median=median)}
    monkeypatch.setattr("calibrate.fit.fit.fit_steps", lambda *_, **__: made_up(held_out))
    for format in ("table", "json"):
        assert fit(RECORDING, out=tmp_path / "own.json", format=format) == code  # type: ignore[arg-type]
        told = capsys.readouterr()
        assert ("held-out mixed steps are off by 15 % in the median" in told.err) == bool(code)
    assert json.loads(told.out) == json.loads((tmp_path / "own.json").read_text("utf-8"))


def test_a_fit_for_a_gpu_that_is_none_is_refused_before_it_is_made(
    fitted: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="h100"):
        fit(RECORDING, out=tmp_path / "own.json", gpu="h1000")
    assert fitted == []
    assert list(tmp_path.iterdir()) == []


def test_a_profile_has_its_model_s_short_name() -> None:
    assert model_name({"_name_or_path": "org/small-1b/", "model_type": "llama"}) == "small-1b"
    assert model_name({"_name_or_path": "", "model_type": "llama"}) == "llama"
    assert model_name({}) == model_name(None) == "model"


def test_steps_are_plotted_in_milliseconds_with_errors_in_percent(tmp_path: Path) -> None:
    steps, made = read_run(RECORDING).steps, made_up()
    frame = step_frame(made, steps)
    predicted_s = predict_s(made.solution.coefficients, steps)
    assert frame["measured_ms"].tolist() == pytest.approx((1e3 * steps.duration_s).tolist())
    assert frame["predicted_ms"].tolist() == pytest.approx((1e3 * predicted_s).tolist())
    error = frame["predicted_ms"] / frame["measured_ms"] - 1
    assert frame["error_percent"].tolist() == pytest.approx((100 * error).tolist())
    assert frame["regime"].tolist() == [("prefill", "decode", "mixed")[k] for k in steps.regime]
    assert (frame["tokens"].tolist(), frame["sequences"].tolist()) == (steps.tokens.tolist(), steps.sequences.tolist())
    write_plots(made, steps, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text("utf-8")
    assert all(words in page for words in ("Predicted against measured steps", "Residuals by regime", "error (%)"))


def served(scale: float) -> Served:
    values = scale * np.array([0.1, 0.2, 0.4])
    return Served(values, np.array([np.nan, *values[1:]]), 10 * values, values, 100.0)


def comparison(within: bool = True, rate_rps: float = 2.5, drift: float = 1.04) -> Comparison:
    rows = (
        Row("throughput", "mean", 200.0, 190.0, 204.0, 0.1, 0.05),
        Row("ttft", "p50", 0.25, 0.3, 0.2, 0.2 if within else 0.19, 0.2),
        Row("itl", "p90", 0.01234, 0.01, 0.0125, None, None),
    )
    samples = {"measured": served(1.0), "simulated": served(2.0), "drift-corrected": served(3.0)}
    return Comparison(rate_rps, 7, drift, drift, rows, samples)


def test_a_comparison_is_shown_in_its_units() -> None:
    assert table_rows(comparison(within=False)) == [
        ["throughput mean", "200.0 tok/s", "190.0 tok/s", "-5.0 %", "204.0 tok/s", "+2.0 %", ""],
        ["ttft p50", "250.00 ms", "300.00 ms", "+20.0 %", "200.00 ms", "-20.0 %", "beyond tolerance"],
        ["itl p90", "12.34 ms", "10.00 ms", "-19.0 %", "12.50 ms", "+1.3 %", ""],
    ]
    assert heading(comparison()) == "2.5 requests/s, 7 requests, drift of the machine +4.0 %"
    assert heading(comparison(drift=0.88)).endswith("drift of the machine -12.0 %")
    told = heading(replace(comparison(), slowness=1.5))
    assert told.startswith("2.5 requests/s, 7 requests, decode steps took 50 % longer than profiled")


def test_a_comparison_as_json_has_shares() -> None:
    value = as_json(comparison(within=False))
    assert {key: value[key] for key in ("rate_rps", "requests", "slowness", "drift", "remark", "within")} == {
        "rate_rps": 2.5,
        "requests": 7,
        "slowness": 1.04,
        "drift": 1.04,
        "remark": None,
        "within": False,
    }
    assert value["rows"][1] == {
        "metric": "ttft",
        "statistic": "p50",
        "measured": 0.25,
        "simulated": 0.3,
        "error": pytest.approx(0.2),
        "corrected": 0.2,
        "corrected_error": pytest.approx(-0.2),
        "tolerance": 0.19,
        "corrected_tolerance": 0.2,
        "within": False,
    }
    assert [row["within"] for row in value["rows"]] == [True, False, True]


def test_latencies_are_drawn_as_shares_of_requests_over_milliseconds(tmp_path: Path) -> None:
    data = _cdf(comparison(), "tpot_s", "TPOT").data
    for name, scale in (("measured", 1), ("simulated", 2), ("drift-corrected", 3)):
        own = data[data["series"] == name]
        assert (own["ms"].iloc[0], own["share"].iloc[0]) == (pytest.approx(200 * scale), 0.0), (
            "without what has no TPOT"
        )
        assert (own["ms"].iloc[-1], own["share"].iloc[-1]) == (pytest.approx(400 * scale), 1.0)
        assert own["ms"].to_numpy()[np.searchsorted(own["share"], 0.5)] == pytest.approx(300 * scale, rel=0.01)
    write_report("Title of the page", [comparison(), comparison(rate_rps=9.0)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Title of the page" in page
    for rate in ("2.5", "9"):
        assert f"{rate} requests/s, 7 requests" in page
        assert all(f"{name} at {rate} requests/s" in page for name in ("TTFT", "TPOT", "E2E"))


LOAD = Load("poisson", 2.5, 0.3, np.array([0.0]), np.array([4]), np.array([2]))


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two loads; the server's second is beyond its tolerance. What is asked is noted."""
    asked: dict[str, Any] = {"ways": []}
    place = "calibrate.experiments.validation"
    monkeypatch.setattr(f"{place}.read_measured", lambda folder, profile: (folder, profile))
    monkeypatch.setattr("calibrate.vllm_process.find_interpreter", lambda python: python)
    monkeypatch.setattr("calibrate.commands.validate._loads", lambda *given: [LOAD, replace(LOAD, share=None)])
    monkeypatch.setattr(f"{place}.serve_in_process", lambda start, measured, loads, report: [measured, "process"])
    monkeypatch.setattr(f"{place}.serve_over_http", lambda python, measured, loads, out, report: [measured, "server"])
    monkeypatch.setattr(f"{place}.write_recording", lambda measured, runs, path: (measured, runs[1], path))

    def compare_runs(
        measured: Any, written: tuple[Any, ...], runs: Any, raw: Tolerance, corrected: Tolerance, over_http: bool
    ) -> list[Comparison]:
        assert written[:2] == (measured, runs[1])
        asked["ways"].append((written[2].name, runs[1], over_http))
        asked["tolerances"] = (raw, corrected)
        return [comparison(), comparison(within=not over_http)]

    def write_report(title: str, comparisons: list[Comparison], path: Path) -> None:
        asked["report"] = (path, len(comparisons))

    monkeypatch.setattr(f"{place}.compare_runs", compare_runs)
    monkeypatch.setattr("calibrate.validate.report.write_report", write_report)
    return asked


@pytest.mark.parametrize(
    ("via", "ways", "within"),
    [
        ("process", [("process.json", "process", False)], True),
        ("server", [("server.json", "server", True)], False),
        ("both", [("process.json", "process", False), ("server.json", "server", True)], False),
    ],
)
def test_validation_says_yes_where_every_error_is_within_its_tolerance(
    via: Any, ways: list[tuple[Any, ...]], within: bool, validation: dict[str, Any], tmp_path: Path, capsys: Capture
) -> None:
    given: dict[str, Any] = {"out": tmp_path, "via": via, "tolerances": Tolerances(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
    assert validate(tmp_path, **given) == 0, "no check is asked for"
    assert validation["ways"] == ways
    assert validation["tolerances"] == (Tolerance(0.4, 0.5, 0.6), Tolerance(0.1, 0.2, 0.3))
    told = capsys.readouterr().out
    assert ("every error is within its tolerance" in told) == within
    assert ("some errors are beyond their tolerances" in told) == (not within)
    for way, _, _ in ways:
        name = way.removesuffix(".json")
        assert f"{name}, poisson, 30 % of capacity: 2.5 requests/s" in told
        assert f"{name}, poisson: 2.5 requests/s" in told
    assert validation["report"] == (tmp_path / "report.html", 2 * len(ways))
    for format in ("table", "json"):
        assert validate(tmp_path, check=True, format=format, **given) == (0 if within else 1)  # type: ignore[arg-type]
    value = json.loads(capsys.readouterr().out.partition("{\n")[2].join(("{\n", "")))
    assert value["within"] == within
    assert sorted(value["runs"]) == sorted(way.removesuffix(".json") for way, _, _ in ways)


def test_loads_are_shares_of_the_capacity_or_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "calibrate.experiments.loads"
    monkeypatch.setattr(f"{place}.default_lengths", lambda config: Lengths(100.0, 50.0, 0.7))
    monkeypatch.setattr(f"{place}.capacity_rps", lambda config, step, lengths, seed: 10.0)
    monkeypatch.setattr(f"{place}.poisson_load", lambda config, *given: given)
    monkeypatch.setattr(f"{place}.trace_load", lambda config, *given: ("trace", *given))
    measured: Any = SimpleNamespace(recording=SimpleNamespace(config=None), step_time=None)
    usual = Lengths(100.0, 50.0, 0.7)
    assert _loads(measured, (0.3, 0.8, 0.5), (), None, None, None, 60.0, 4) == [
        (usual, 3.0, 60.0, 4, 0.3),
        (usual, 8.0, 60.0, 4, 0.8),
        (usual, 5.0, 60.0, 4, 0.5),
    ]
    own = _loads(measured, (0.3,), (7.0,), Path("t.csv"), 9.0, 8.0, 60.0, 4)
    assert own == [(Lengths(9.0, 8.0, 0.7), 7.0, 60.0, 4, None), ("trace", Path("t.csv"), 7.0, 60.0, None)]
    middle = _loads(measured, (0.3, 0.8, 0.5), (), Path("t.csv"), None, None, 60.0, 4)
    assert middle[-1] == ("trace", Path("t.csv"), 5.0, 60.0, 0.5)
    for loads, rates, duration_s in (((), (), 1.0), ((0.5, 0.0), (), 1.0), ((0.5,), (-1.0,), 1.0), ((0.5,), (), 0.0)):
        with pytest.raises(InputError, match="must be positive"):
            _loads(measured, loads, rates, None, None, None, duration_s, 4)


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A profiler that measures what it is told to; what it is made with is noted."""
    made: dict[str, Any] = {"measures": [{"point": "a", "rows": [1, 2]}, {"point": "b", "rows": [3]}], "complete": True}
    made |= {"tested": True, "cpu_share": 1.0}

    class MadeUp:
        def __init__(self, start: Any, arguments: Any, store: Any, options: Any, report: Any) -> None:
            made.update(arguments=arguments, options=options, store=store)
            self.report = report
            self.cpu_share = made["cpu_share"]
            self.info = {"device": {"type": "cpu"}, "versions": {"tested": made["tested"], "vllm": "0.99"}}

        def run(self) -> bool:
            for record in made["measures"]:
                made["store"].append(record)
            self.report(1, 4, 33.4)
            return bool(made["complete"])

    monkeypatch.setattr("calibrate.experiments.profile.Profiler", MadeUp)
    monkeypatch.setattr("calibrate.vllm_process.find_interpreter", lambda python: python)
    return made


def test_a_profile_says_what_was_measured(profiled: dict[str, Any], tmp_path: Path, capsys: Capture) -> None:
    assert profile("--block-size=32", model="m", out=tmp_path, repeats=2, time_budget_s=5.0, seed=9) == 0
    told = capsys.readouterr()
    assert told.out == f"3 steps from 2 points: {tmp_path}\n"
    assert told.err == "1 of 4 points, about 33 s left\n"
    options = profiled["options"]
    assert (options.repeats, options.time_budget_s, options.seed) == (2, 5.0, 9)
    assert profiled["arguments"][:2] == ["--model", "m"]
    assert profiled["arguments"][-1] == "--block-size=32"
    assert profiled["store"].records[0] == {"identity": {"arguments": profiled["arguments"], "seed": 9}}


def test_a_model_s_folder_is_known_from_anywhere(
    profiled: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`validate` starts the engine with the arguments of the profile, perhaps in another folder."""
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    profile(model="m", out=tmp_path / "steps")
    assert profiled["arguments"][:2] == ["--model", str(tmp_path / "m")]


def test_a_profile_says_what_speaks_against_it(profiled: dict[str, Any], tmp_path: Path, capsys: Capture) -> None:
    profiled |= {"complete": False, "tested": False, "cpu_share": 0.5}
    profiled["measures"].append({"failure": "out_of_memory", "message": "no room"})
    profile(model="m", out=tmp_path)
    told = capsys.readouterr()
    assert told.out == f"3 steps from 2 points, 1 failed, time used up: {tmp_path}\n"
    assert "for 50 % of the time" in told.err
    assert "vLLM 0.99 is untried" in told.err


@pytest.mark.parametrize(
    ("measures", "said"),
    [([{"failure": "died", "message": "no room"}], "no point was measured: no room"), ([], "the design has none")],
)
def test_a_profile_of_nothing_is_refused(
    measures: list[dict[str, Any]], said: str, profiled: dict[str, Any], tmp_path: Path
) -> None:
    profiled["measures"] = measures
    with pytest.raises(InputError, match=said):
        profile(model="m", out=tmp_path)
    for given in ({"repeats": 0}, {"time_budget_s": 0.0}, {"time_budget_s": -1.0}):
        with pytest.raises(InputError, match="must be positive"):
            profile(model="m", out=tmp_path, **given)  # type: ignore[arg-type]
