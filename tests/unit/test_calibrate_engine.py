"""How calibration starts vLLM, and when it says that a profile is not to be trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.commands.fit import MOST_HELD_OUT, doubts
from calibrate.experiments.validation import Measured
from calibrate.recording.bundle import read_steps
from calibrate.recording.run import Recording
from calibrate.vllm_process import child_environment
from simulator.errors import InputError
from simulator.perf.steptime import constant_step_time

REPOSITORY = Path(__file__).parents[2]
GOOD = {regime: {"median": MOST_HELD_OUT / 2} for regime in ("prefill", "decode", "mixed")}


def test_vllm_keeps_the_callers_path_but_not_servecasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/opt/vllm", str(REPOSITORY), "/opt/plugins"]))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = child_environment("/driver")
    assert environment["PYTHONPATH"] == os.pathsep.join(["/driver", "/opt/vllm", "/opt/plugins"])
    assert environment["OMP_NUM_THREADS"] == "3", "the caller's word counts"
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    monkeypatch.delenv("PYTHONPATH")
    assert child_environment("/driver")["PYTHONPATH"] == "/driver"


def test_an_engine_is_validated_at_the_limits_of_its_profile(recording: Recording) -> None:
    limits = {"num_gpu_blocks": 77, "block_size": 32, "max_num_batched_tokens": 512, "max_num_seqs": 8}
    said = ["--model", "folder", "--max-num-seqs=8"]
    meta = {"engine_arguments": said, "config": {**limits, "max_model_len": 4096}}
    arguments = Measured(Path(), meta, recording, constant_step_time(1.0, 512, 8)).arguments
    assert arguments[:3] == said
    assert set(arguments[3:]) == {
        "--num-gpu-blocks-override=77",
        "--block-size=32",
        "--max-num-batched-tokens=512",
        "--max-model-len=4096",
    }


@pytest.fixture
def recording() -> Recording:
    from calibrate.recording.run import read_run

    return read_run(Path(__file__).parents[1] / "data" / "vllm-runs" / "small-llama-cpu.json")


def test_a_profile_says_why_it_is_not_to_be_trusted(tmp_path: Path) -> None:
    meta = {"status": "complete", "points": {"measured": 9}, "design": {"points": 32, "repeats": 3}}
    (tmp_path / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    assert doubts(GOOD, tmp_path) == []
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"status": "partial"}), encoding="utf-8")
    bad = {"prefill": {"median": 0.62}, "decode": GOOD["decode"]}
    cut, missing, far = doubts(bad, tmp_path)
    assert "only 9 of 96 points" in cut
    assert "mixed" in missing
    assert "prefill steps are off by 62 %" in far
    for broken in ({"points": 3}, {"design": None}, {"design": {"points": "x", "repeats": 1}}):
        (tmp_path / "meta.json").write_text(json.dumps(meta | {"status": "partial"} | broken), encoding="utf-8")
        with pytest.raises(InputError, match="does not say how much of its design was measured"):
            doubts(GOOD, tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("dur_s", [0.01, 0.0], "dur_s must be numbers from above 0 to"),
        ("dur_s", [0.01, None], "dur_s must be numbers from above 0"),
        ("tokens", [4.0, -1.0], "tokens must be numbers from 0 to"),
        ("step", [None, None], "step must be numbers"),
        ("gap_s", ["a", "b"], "gap_s must be numbers"),
        ("computed_before", [0, 10**15], "computed_before must be numbers from 0 to 1e"),
    ],
)
def test_a_column_of_measured_steps_holds_what_it_counts(
    column: str, values: list[Any], message: str, recording: Recording, tmp_path: Path
) -> None:
    good: dict[str, list[Any]] = {
        "step": [0, 1],
        "tag": ["a", "a"],
        "repeat": [0, 0],
        "dur_s": [0.01, 0.02],
        "gap_s": [None, 0.001],
        "tokens": [4, 1],
        "computed_before": [0, 4],
    }
    limits = {name: getattr(recording.config, name) for name in ("block_size", "max_num_seqs", "max_model_len")}
    config = {**limits, "num_gpu_blocks": 100, "max_num_batched_tokens": 512}
    (tmp_path / "meta.json").write_text(json.dumps({"model": {}, "config": config}), encoding="utf-8")
    pd.DataFrame(good).to_parquet(tmp_path / "steps.parquet")
    found, _ = read_steps(tmp_path)
    assert found.steps.duration_s.tolist() == [0.01, 0.02]
    assert np.isnan(found.steps.gap_s[0])
    pd.DataFrame(good | {column: values}).to_parquet(tmp_path / "steps.parquet")
    with pytest.raises(InputError, match=message):
        read_steps(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "meta-llama/Llama-3.1-8B"}, r"meta\.json: model: .*dictionary"),
        ({"model": [["a", 1]]}, r"meta\.json: model: .*dictionary"),
        ({"config": {}}, r"meta\.json: config\.num_gpu_blocks: is missing"),
        ({"vllm_version": {}}, r"meta\.json: vllm_version: .*string"),
    ],
)
def test_what_describes_measured_steps_is_checked(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = dict.fromkeys(("num_gpu_blocks", "block_size", "max_num_batched_tokens", "max_num_seqs"), 64)
    meta = {"model": {}, "config": config | {"max_model_len": 4096}} | change
    (tmp_path / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_steps(tmp_path)
