"""`servecast calibrate live` over a recording: what it writes, and what it says of a drift."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from live_server import history

from calibrate.cli import app
from simulator.catalog.profiles import read_profile
from simulator.engine.config import EngineConfig
from simulator.errors import InputError
from simulator.fleet.single import run_single
from simulator.perf.device import BatchLimits
from simulator.rng import stream
from simulator.workload.description import read_description
from simulator.workload.requests import make_requests

LIMITS = {"num_gpu_blocks": 4000, "block_size": 16, "max_num_batched_tokens": 2048, "max_num_seqs": 64}
COEFFICIENTS = {
    "host_s": 0.004,
    "weights_s": 0.004,
    "token_s": 4e-5,
    "sharpness": 4.0,
    "sequence_s": 1e-4,
    "prefill_attn_s": 1e-9,
    "decode_attn_s": 2e-8,
}


def write_profile(path: Path, factor: float) -> Path:
    value = {
        "format": "servecast-profile/1",
        "name": "made up",
        "gpu": None,
        "device": "cpu",
        "vllm_version": "0.32.0",
        "model": {},
        "engine": {**LIMITS, "max_model_len": 8192, "tp": 1, "pp": 1, "dtype": "bf16"},
        "coefficients": {k: v if k == "sharpness" else v * factor for k, v in COEFFICIENTS.items()},
        "correction": {"tokens": [], "ratio": []},
        "capture_sizes": [],
        "between_steps_s": 0.0,
        "between_sequence_s": 0.0,
        "request_overhead_s": 0.0,
        "expected_error": None,
        "ranges": {"tokens": [1, 2048], "sequences": [1, 64]},
        "errors": {"in_sample": {}, "held_out": {}},
        "sources": {},
    }
    path.write_text(json.dumps(value))
    return path


def recording(folder: Path, factor: float) -> Path:
    truth = read_profile(write_profile(folder / "truth.json", factor)).step_time(BatchLimits(2048, 64))
    draw = stream(5, "recording")
    n = 800
    arrival_s = np.cumsum(draw.exponential(0.3, n))
    isl = np.clip(draw.lognormal(5.5, 0.8, n), 1, 4000).astype(np.int32)
    osl = np.clip(draw.lognormal(4.0, 0.7, n), 1, 1000).astype(np.int32)
    config = EngineConfig(4000, 16, 2048, 64, 8192)
    records = run_single(config, truth, make_requests(arrival_s, isl, osl)).records
    path = folder / "polls.jsonl"
    lines = [json.dumps({"format": "servecast-live/1", **entry.as_json()}) for entry in history(records, 5.0)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("factor", "drifted"), [(1.0, 0), (1.25, 1)])
def test_a_drift_is_reported_and_corrects_the_profile(
    factor: float, drifted: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, polls, out = write_profile(tmp_path / "p.json", 1.0), recording(tmp_path, factor), tmp_path / "out"
    command = f"live --from {polls} --profile {profile} --out {out} --check --threshold 0.05"
    assert app(command, result_action="return_value") == drifted
    assert ("not significant" in capsys.readouterr().out) != bool(drifted)
    assert (out / "report.json").exists()
    assert read_description(out / "traffic.json").counts.sum() > 700
    assert "file: traffic.json" in (out / "workload.yaml").read_text()
    assert (out / "profile.json").exists() == bool(drifted)
    if drifted:
        corrected = read_profile(out / "profile.json")
        assert corrected.coefficients["token_s"] == pytest.approx(4e-5 * factor, rel=0.06)


def test_without_server_or_recording_it_says_what_to_give(tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "p.json", 1.0)
    with pytest.raises(InputError, match="either the address"):
        app(f"live --profile {profile}", result_action="return_value")
