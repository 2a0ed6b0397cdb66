"""How calibration starts vLLM, and when it says that a profile is not to be trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from calibrate.commands.fit import MOST_HELD_OUT, doubts
from calibrate.experiments.validation import Measured
from calibrate.recording.run import Recording
from calibrate.vllm_process import child_environment
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
