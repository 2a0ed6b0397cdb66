"""Schedules recorded on real vLLM, replayed by the simulator's engine."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calibrate.commands.record_schedule import record_schedule
from calibrate.experiments.core_schedules import asked_of
from calibrate.experiments.schedules import TINY_MODEL
from calibrate.vllm_process import EngineError, VllmProcess, find_interpreter
from simulator.engine.modes.refusals import refusals

RECORDED = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-traces"


def test_random_engines_are_scheduled_identically(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record_schedule(out=tmp_path, random=12, seed=2025, using="scheduler") == 0
    assert capsys.readouterr().out.startswith("12 / 12 recordings identical")
    assert len(list(tmp_path.glob("random-2025-*.json"))) == 12


def test_the_scheduler_alone_decides_what_it_decided_within_the_whole_engine(tmp_path: Path) -> None:
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        for name in ("prefix_preempt", "priority", "nochunk"):
            whole = json.loads((RECORDED / f"{name}.json").read_text())
            alone = process.call(
                "record_alone", limits=whole["config"], requests=whole["requests"], model=str(TINY_MODEL)
            )
            assert alone["steps"] == whole["steps"], name


@pytest.mark.parametrize(
    "modes", ["all", "plain", "async,hybrid,eagle,nixl-decode,abort", "async,linear-prefix,saved-states"]
)
def test_random_combinations_of_modes_are_scheduled_identically(tmp_path: Path, modes: str) -> None:
    """Kernels of rarer kinds as plain Python: compiling them takes longer than all else that is recorded here."""
    asked = ["--out", str(tmp_path), "--random", "20", "--seed", "31", "--modes", modes]
    command = [sys.executable, "-m", "simulator.cli", "calibrate", "record-schedule", *asked]
    plain = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    recordings = [json.loads(gzip.decompress(path.read_bytes())) for path in tmp_path.glob("core-31-*.json.gz")]
    assert f"{len(recordings)} / {len(recordings)} recordings identical" in done.stdout
    assert len(recordings) >= 15
    on = {mode for recording in recordings for mode in recording["facts"]["modes"]}
    assert ("asynchronous scheduling" in on) == (modes != "plain")
    for recording in recordings:
        asked = "async" in recording["mode"].split("+") or recording["facts"]["set_by_recorder"].get("async_scheduling")
        assert bool(asked) == recording["config"]["async_scheduling"]


def test_the_engine_core_over_nothing_decides_what_it_decided_with_a_model(tmp_path: Path) -> None:
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        for name in ("prefix_preempt", "priority", "nochunk"):
            whole = json.loads((RECORDED / f"{name}.json").read_text())
            made = process.call(
                "record_core", engine=whole["config"], requests=whole["requests"], events=[], model=str(TINY_MODEL)
            )
            kept = [{key: step[key] for key in whole["steps"][0]} for step in made["steps"]]
            assert kept == whole["steps"], name


def test_a_whole_engine_is_scheduled_identically(tmp_path: Path) -> None:
    arguments = ("--num-gpu-blocks-override=60", "--block-size=32", "--max-model-len=512", "--max-num-seqs=12")
    arguments += ("--max-num-batched-tokens=128", "--enable-prefix-caching", "--enforce-eager")
    assert record_schedule(*arguments, out=tmp_path, workloads=3, seed=3) == 0
    recordings = [json.loads(path.read_text()) for path in tmp_path.glob("workload-3-*.json")]
    assert {recording["recorded_with"] for recording in recordings} == {"engine"}
    assert any(step["preempted"] for recording in recordings for step in recording["steps"])


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"max_num_seqs": 9000}, "must be greater than or equal to max_num_seqs"),
    ({"max_num_active_seqs": 99}, "cannot be greater than max_num_seqs"),
    ({"long_prefill_token_threshold": 600}, "cannot be greater than the max_model_len"),
    ({"enable_chunked_prefill": False, "max_num_batched_tokens": 64}, "is smaller than max_model_len"),
    ({"max_loras": 2, "speculative": {"method": "eagle", "num_speculative_tokens": 20}}, "num_speculative_tokens"),
    (
        {"block_size": 4, "speculative": {"method": "mtp", "num_speculative_tokens": 5, "mtp_modules": 5}},
        "Multi-module MTP with prefix caching requires",
    ),
)


def test_what_our_table_refuses_vllm_refuses(tmp_path: Path) -> None:
    whole = json.loads((RECORDED / "prefix_preempt.json").read_text())
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        for change, words in REFUSED:
            engine = {**whole["config"], "max_model_len": 512, **change}
            assert refusals(asked_of(engine), "0.32.0"), words
            with pytest.raises(EngineError, match=words):
                process.call("record_core", engine=engine, requests=[], events=[], model=str(TINY_MODEL))
