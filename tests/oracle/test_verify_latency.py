"""Measured runs of real vLLM against the simulator with a step time fitted on their own steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.commands.tolerances import USUAL, Tolerances
from calibrate.commands.verify_latency import latency
from calibrate.fit.fit import fit_steps
from calibrate.recording.run import read_run
from calibrate.validate.compare import compare_run
from calibrate.validate.report import heading
from simulator.engine.config import Policy
from simulator.errors import InputError
from simulator.perf.profile import profile_step_time
from tests.parts import few

RUN = Path(__file__).resolve().parents[1] / "data" / "vllm-runs" / "small-llama-cpu.json"


def test_the_recording_is_reproduced_within_the_tolerances(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency([RUN], check=True, format="json") == 0
    result = json.loads(capsys.readouterr().out)
    (file,) = result["files"]
    assert [run["rate_rps"] for run in file["runs"]] == [1.0, 2.5, 4.0]
    assert all(abs(run["drift"] - 1) <= 0.15 for run in file["runs"])
    assert {regime: error["median"] < 0.05 and error["p90"] < 0.15 for regime, error in file["held_out"].items()} == {
        "prefill": True,
        "decode": True,
        "mixed": True,
    }


@pytest.mark.exhaustive
def test_half_of_the_steps_predict_as_well() -> None:
    recording = read_run(RUN)
    limits = recording.config
    for half in (0, 1):
        kept = recording.steps.take(np.arange(len(recording.steps)) // 40 % 2 == half)
        step_time = profile_step_time(
            fit_steps(kept).solution.coefficients, limits.max_num_batched_tokens, limits.max_num_seqs, "half"
        )
        for run in recording.runs:
            rows = {
                (row.metric, row.statistic): row
                for row in compare_run(run, limits, step_time, kept, USUAL.raw, USUAL.corrected).rows
            }
            assert abs(rows["ttft", "p50"].corrected_error) < 0.10
            assert abs(rows["tpot", "p50"].corrected_error) < 0.10


@pytest.mark.exhaustive
def test_beyond_its_tolerance_the_check_says_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency([RUN], check=True, tolerances=Tolerances(median=0.001)) == 1
    assert "beyond tolerance" in capsys.readouterr().out
    assert latency([RUN], tolerances=Tolerances(median=0.001)) == 0


@pytest.mark.parametrize(
    ("factor", "words"),
    few([(1.4, "longer than profiled"), (0.6, "shorter than profiled")], (1.4, "longer than profiled")),
)
def test_steps_further_off_than_a_machine_drifts_are_told_and_not_corrected_away(factor: float, words: str) -> None:
    recording = read_run(RUN)
    limits, run = recording.config, recording.runs[1]
    coefficients = fit_steps(recording.steps).solution.coefficients
    step_time = profile_step_time(coefficients, limits.max_num_batched_tokens, limits.max_num_seqs, "own")
    other = replace(run, step_duration_s=factor * run.step_duration_s)
    plain, off = (
        compare_run(each, limits, step_time, recording.steps, USUAL.raw, USUAL.corrected) for each in (run, other)
    )
    assert plain.remark is None
    assert plain.slowness == plain.drift
    assert off.slowness == pytest.approx(factor * plain.slowness)
    assert off.drift == pytest.approx(1.15 if factor > 1 else 0.85)
    assert words in str(off.remark)
    assert words in heading(off)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format must be 'vllm-run/1'"),
        ({"profile_steps": []}, r"profile_steps: .*at least 1 item"),
        ({"config": {}}, "config.num_gpu_blocks"),
        ({"profile_steps": [{"dur_s": -1.0, "batch": [[1, 0]]}]}, r"profile_steps\[0\]\.dur_s: .*greater than 0"),
        ({"model": "meta-llama/Llama-3.1-8B"}, "model: .*dictionary"),
        ({"config": {"num_gpu_blocks": 0}}, "config.num_gpu_blocks: .*greater than or equal to 1"),
    ],
)
def test_a_broken_file_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    value = {**json.loads(RUN.read_text()), **change}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=message) as caught:
        read_run(path)
    assert "run.json" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run["steps"][3].__setitem__(3, float("nan")), r"runs\[0\]\.steps\[3\]\[3\]"),
        (lambda run: run["steps"][3].__setitem__(2, 1e300), r"runs\[0\]\.steps\[3\]\[2\]"),
        (lambda run: run["requests"][0].__setitem__("isl", 1e300), r"runs\[0\]\.requests\[0\]\.isl"),
        (
            lambda run: run["requests"][0].__setitem__("osl", 0),
            r"runs\[0\]\.requests\[0\]\.osl: .*greater than or equal to 1",
        ),
    ],
)
def test_what_no_engine_counts_is_refused(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    value = json.loads(RUN.read_text())
    change(value["runs"][0])
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=message):
        read_run(path)


def test_limits_that_a_recording_states_are_the_engine_s(tmp_path: Path) -> None:
    value = json.loads(RUN.read_text())
    value["config"] |= {"policy": "priority", "watermark": 0.05, "scheduler_reserve_full_isl": False}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    config = read_run(path).config
    assert (config.policy, config.watermark, config.reserve_full_isl) == (Policy.PRIORITY, 0.05, False)
