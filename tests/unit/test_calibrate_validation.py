"""An engine that was profiled is served on and compared: what vLLM is asked, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.experiments import validation as place
from calibrate.experiments.loads import Load
from calibrate.experiments.validation import (
    Measured,
    compare_runs,
    profile_steps,
    read_measured,
    serve_in_process,
    serve_over_http,
    write_recording,
)
from calibrate.fit.fit import fit_steps
from calibrate.recording.bundle import read_steps
from calibrate.recording.run import read_run
from calibrate.validate.compare import Tolerance
from calibrate.vllm_process import EngineError
from simulator.errors import InputError
from simulator.perf.steptime import constant_step_time

RECORDED = Path(__file__).parents[1] / "data/vllm-runs/small-llama-cpu.json"
LOADS = [
    Load("poisson", 2.5, 0.5, np.array([0.0, 3.0]), np.array([8, 9], np.int32), np.array([2, 3], np.int32)),
    Load("own.csv", 4.0, None, np.array([0.0, 1.0]), np.array([5, 6], np.int32), np.array([4, 5], np.int32)),
]


@pytest.fixture
def given() -> dict[str, Any]:
    """A recording in which the gap after every other step is known."""
    found = json.loads(RECORDED.read_text(encoding="utf-8"))
    for number, step in enumerate(found["profile_steps"]):
        step["gap_s"] = 0.0005 if number % 2 else None
    return found


@pytest.fixture
def folder(given: dict[str, Any], tmp_path: Path) -> Path:
    """What `calibrate profile` leaves, with the steps of a recording."""
    path = tmp_path / "profile"
    path.mkdir()
    names = ("step", "tag", "repeat", "dur_s", "gap_s", "tokens", "computed_before")
    rows = [
        (number, step["tag"], 0, step["dur_s"], step["gap_s"] or np.nan, tokens, before)
        for number, step in enumerate(given["profile_steps"])
        for tokens, before in step["batch"]
    ]
    pd.DataFrame(rows, columns=list(names)).to_parquet(path / "steps.parquet")
    meta = {name: given[name] for name in ("vllm_version", "device", "model", "config")}
    meta |= {"engine_arguments": ["--model", "folder/of/model"], "hardware": {"type": "cpu"}, "status": "complete"}
    (path / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return path


@pytest.fixture
def measured(folder: Path) -> Measured:
    recording, _ = read_steps(folder)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return Measured(folder, meta, recording, constant_step_time(1.0, 512, 8))


def test_steps_of_a_profile_are_those_that_were_measured(folder: Path, given: dict[str, Any]) -> None:
    assert profile_steps(folder) == given["profile_steps"]


def test_what_is_served_is_written_beside_the_steps(measured: Measured, given: dict[str, Any], tmp_path: Path) -> None:
    written = write_recording(measured, given["runs"], tmp_path / "run.json")
    known = read_run(RECORDED)
    assert (written.vllm_version, written.config) == (known.vllm_version, known.config)
    assert len(written.runs) == len(known.runs) > 0
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["runs"] == given["runs"]
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["profile_steps"] == given["profile_steps"]


def test_without_a_profile_steps_are_fitted_with_what_lies_between_them(folder: Path) -> None:
    found = read_measured(folder, None)
    assert found.model == "folder/of/model"
    recording = found.recording
    fitted = fit_steps(recording.steps, recording.capture_sizes, file=str(folder))
    assert fitted.between_steps_s > 0
    tokens = np.arange(recording.config.max_num_batched_tokens + 1)
    alone_s = fitted.solution.coefficients.token_time_s(tokens)
    assert found.step_time.token_time_s[0, 1:] - alone_s[1:] == pytest.approx(fitted.between_steps_s)
    with pytest.raises(InputError, match="expected the folder that"):
        read_measured(folder / "meta.json", None)


class Engine:
    """A process in which vLLM would run."""

    def __init__(self, limits: dict[str, Any], cpu_share: float = 1.0, counted: int = 7) -> None:
        self.limits, self.cpu_share, self.counted = limits, cpu_share, counted
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, name: str, **given: Any) -> Any:
        self.asked.append((name, given))
        if name == "self_test":
            return {"recorded": {"prompt": 7}, "engine": {"prompt": self.counted}}
        return {"start": {"limits": self.limits}, "serve": {"cpu_share": self.cpu_share, "steps": []}}.get(name)


def served_by(engine: Engine, measured: Measured) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    whole: Any = engine
    return serve_in_process(lambda: whole, measured, LOADS, said.append), said


def test_loads_are_served_after_a_warm_up_on_the_engine_of_the_profile(measured: Measured) -> None:
    engine = Engine(measured.meta["config"])
    runs, said = served_by(engine, measured)
    names = [name for name, _ in engine.asked]
    assert names == ["start", "point", "point", "serve", "serve", "self_test"]
    assert engine.asked[0][1]["arguments"] == measured.arguments
    assert [given["requests"] for name, given in engine.asked if name == "serve"] == [one.requests() for one in LOADS]
    assert [(run["rate_rps"], run["arrivals"], run["load"]) for run in runs] == [
        (2.5, "poisson", 0.5),
        (4.0, "own.csv", None),
    ]
    assert said == ["poisson at 2.5 requests/s: 3 s", "own.csv at 4 requests/s: 1 s"]


def test_an_engine_that_did_not_have_its_processors_is_remarked(measured: Measured) -> None:
    _, said = served_by(Engine(measured.meta["config"], cpu_share=0.5), measured)
    assert sum("a processor for 50 % of the time" in words for words in said) == len(LOADS)


def test_an_engine_with_other_limits_or_counts_is_refused(measured: Measured) -> None:
    limits = {**measured.meta["config"], "max_num_seqs": 33, "not_profiled": 1}
    engine = Engine(limits)
    with pytest.raises(InputError, match="max_num_seqs") as raised:
        served_by(engine, measured)
    assert len(raised.value.problems) == 1
    assert [name for name, _ in engine.asked] == ["start"], "nothing is served on it"
    with pytest.raises(EngineError, match=r"steps of vLLM 0\.32\.0 cannot be trusted"):
        served_by(Engine(measured.meta["config"], counted=8), measured)


def test_a_server_gets_each_load_and_failures_are_told(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Stand:
        def __init__(self, *given: Any) -> None:
            asked.append(given)

        def __enter__(self) -> Stand:
            return self

        def __exit__(self, *_: object) -> None: ...

        def wait(self) -> None:
            asked.append("wait")

        def serve(self, load: Load, name: str) -> dict[str, Any]:
            asked.append((load, name))
            return {"failed": len(asked) - 3, "cpu_share": 0.5, "rate_rps": load.rate_rps}

    monkeypatch.setattr(place, "Server", Stand)
    said: list[str] = []
    runs = serve_over_http("python", measured, LOADS, tmp_path, said.append)
    assert asked == [
        ("python", "folder/of/model", 4096, measured.arguments, tmp_path),
        "wait",
        (LOADS[0], "load-0"),
        (LOADS[1], "load-1"),
    ]
    assert [(run["arrivals"], run["load"], run["rate_rps"]) for run in runs] == [
        ("poisson", 0.5, 2.5),
        ("own.csv", None, 4.0),
    ]
    assert [words for words in said if "failed" in words] == ["1 of 2 requests failed and are left out"]
    assert sum("for 50 % of the time" in words for words in said) == len(LOADS)


@pytest.mark.parametrize("over_http", [False, True])
def test_over_http_the_way_back_to_the_client_is_the_run_s_own(
    over_http: bool, measured: Measured, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = write_recording(measured, given["runs"], tmp_path / "run.json")
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(place, "compare_run", lambda *given: asked.append(given))
    monkeypatch.setattr(place, "outside_s", lambda run: 0.25 if run is given["runs"][1] else 0.125)
    raw, corrected = Tolerance(0.1, 0.2, 0.3), Tolerance(0.4, 0.5, 0.6)
    compare_runs(measured, recording, given["runs"], raw, corrected, over_http)
    assert [one[0] for one in asked] == list(recording.runs)
    own_s = measured.step_time.request_overhead_s
    expected = [0.125, 0.25, *[0.125] * (len(asked) - 2)] if over_http else [own_s] * len(asked)
    assert [one[2].request_overhead_s for one in asked] == expected
    assert all(one[1] == recording.config and one[3] is recording.steps for one in asked)
    assert all(one[4:] == (raw, corrected) for one in asked)
