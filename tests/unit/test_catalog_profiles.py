"""Profile files: written by a fit, read back, joined, used by a scenario, and refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.cli import app
from simulator.catalog.models import model
from simulator.catalog.profiles import check_profile, read_profile
from simulator.errors import InputError
from simulator.perf.device import BatchLimits
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

RUN = Path(__file__).resolve().parents[1] / "data" / "vllm-runs" / "small-llama-cpu.json"
SHAPE = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}


def value(**changes: Any) -> dict[str, Any]:
    return {
        "format": "servecast-profile/1",
        "name": "llama-8b",
        "gpu": "h100-sxm",
        "device": "NVIDIA H100 80GB HBM3",
        "vllm_version": "0.32.0",
        "model": {**SHAPE, "vocab_size": 128256},
        "engine": {"tp": 1, "pp": 1, "dtype": "bf16"},
        "coefficients": {
            "host_s": 0.001,
            "weights_s": 0.006,
            "token_s": 2e-5,
            "sharpness": 4.0,
            "sequence_s": 1e-5,
            "prefill_attn_s": 1e-10,
            "decode_attn_s": 5e-8,
        },
        "correction": {"tokens": [1, 8], "ratio": [1.0, 1.1]},
        "capture_sizes": [1, 2, 4, 8],
        "between_steps_s": 0.0002,
        "between_sequence_s": 0.00001,
        "request_overhead_s": 0.003,
        "expected_error": None,
        "ranges": {"tokens": [1, 4096], "sequences": [1, 64]},
        "errors": {"in_sample": {}, "held_out": {}},
        "sources": {},
        **changes,
    }


def write(folder: Path, name: str = "profile.json", **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(value(**changes)))
    return path


def test_the_step_time_follows_the_equation(tmp_path: Path) -> None:
    table = read_profile(write(tmp_path)).step_time(BatchLimits(4096, 64))
    assert table.calibrated
    assert table.request_overhead_s == 0.003
    padded = 8 * 2e-5
    expected_s = 1.1 * (0.001 + (0.006**4 + padded**4) ** 0.25) + 0.0002
    assert table.token_time_s[0, 5] == pytest.approx(expected_s)
    assert table.seq_time_s[10] == pytest.approx(1e-4 + 10 * 0.00001)
    assert (np.diff(table.token_time_s[0, 8:]) >= 0).all()


@pytest.mark.exhaustive
def test_a_fit_writes_what_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, plots = tmp_path / "cpu.json", tmp_path / "plots.html"
    assert app(f"fit {RUN} --out {out} --plots {plots}", result_action="return_value") == 0
    assert "median error" in capsys.readouterr().out
    profile = read_profile(out)
    assert profile.gpu is None
    assert profile.ranges["sequences"] == (1.0, 32.0)
    assert set(profile.errors) == {"prefill", "decode", "mixed"}
    assert "Residuals by regime" in plots.read_text()


@pytest.mark.exhaustive
def test_a_fit_writes_the_same_bytes_again(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        app(f"fit {RUN} --out {tmp_path / 'cpu.json'}", result_action="return_value")
        written.append((tmp_path / "cpu.json").read_bytes())
    assert written[0] == written[1]


def test_a_profile_of_something_else_is_refused_with_the_differences(tmp_path: Path) -> None:
    profile = read_profile(write(tmp_path))
    check_profile(profile, model("llama-3.1-8b-instruct").architecture, "h100-sxm", 1, 1, "bf16")
    with pytest.raises(InputError, match="gpu is h100-sxm, here l40s; dtype is bf16, here fp8"):
        check_profile(profile, model("llama-3.1-8b-instruct").architecture, "l40s", 1, 1, "fp8")
    with pytest.raises(InputError, match="hidden_size of its model is 4096"):
        check_profile(profile, model("llama-3.1-70b-instruct").architecture, "h100-sxm", 1, 1, "bf16")


def test_a_scenario_runs_on_a_profile_and_says_what_it_rests_on(tmp_path: Path) -> None:
    write(tmp_path)
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "schema_version: 1\nname: profiled\nmodel: llama-3.1-8b-instruct\n"
        "engine: {profile: profile.json, max_model_len: 8192}\n"
        "workload: {classes: [{name: chat, arrivals: {kind: poisson, rate_rps: 4}, lengths: {isl: 300, osl: 50}}]}\n"
        "topologies: {own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}\n"
        "run: {horizon_s: 60, replications: 1}\n"
    )
    summary = simulate(load_scenario(scenario), tmp_path).summary["topologies"]["own"]
    assert summary["calibrated"]
    assert summary["step_time"] == ["profile llama-8b"]
    doubts = [warning["text"] for warning in summary["warnings"] if warning["kind"] == "trust"]
    assert any("measured with up to 64 sequences" in doubt for doubt in doubts)
    scenario.write_text(scenario.read_text().replace("gpu: h100-sxm", "gpu: l40s"))
    with pytest.raises(InputError, match="gpu is h100-sxm, here l40s"):
        simulate(load_scenario(scenario), tmp_path)


def test_profiles_merge_into_one_folder_and_conflicts_are_named(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.json"), write(tmp_path, "b.json", gpu="l40s")
    folder = tmp_path / "catalog"
    assert app(f"merge {first} {second} --into {folder}", result_action="return_value") == 0
    index = json.loads((folder / "index.json").read_text())
    assert [row["gpu"] for row in index] == ["h100-sxm", "l40s"]
    assert app(f"merge {first} --into {folder}", result_action="return_value") == 0
    assert len(json.loads((folder / "index.json").read_text())) == 2
    other = write(tmp_path, "c.json", between_steps_s=0.1)
    with pytest.raises(InputError, match="keep one of them"):
        app(f"merge {other} --into {folder}", result_action="return_value")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "x"}, "format must be"),
        ({"coefficients": {}}, "host_s: is missing"),
        ({"correction": {"tokens": [1], "ratio": []}}, "ratio for each"),
        ({"correction": {"tokens": [0, 8], "ratio": [1.0, 1.1]}}, "greater than or equal to 1"),
    ],
)
def test_a_broken_profile_is_named(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read_profile(write(tmp_path, **changes))
