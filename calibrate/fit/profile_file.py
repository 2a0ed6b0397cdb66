"""Writes a fit as a profile file, and joins profiles into a catalog folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calibrate.fit.fit import Fit, RegimeError
from simulator.catalog.profiles import FORMAT, read_profile
from simulator.engine.config import EngineConfig
from simulator.errors import InputError, Problem
from simulator.perf.profile import COEFFICIENTS, LAUNCHES
from simulator.results.files import make_folder, write_text

_DIGITS = 9


def profile_value(
    fit: Fit,
    config: EngineConfig,
    *,
    name: str,
    model: Mapping[str, Any],
    device: str,
    vllm_version: str,
    gpu: str | None,
    tp: int,
    pp: int,
    dtype: str,
    captured: Sequence[int],
    steps: int,
    sources: Mapping[str, str],
) -> dict[str, Any]:
    """The JSON value of a profile file.

    Parameters
    ----------
    gpu : name in the catalog; None where the device is none of it
    steps : measured steps
    sources : file name to SHA-256 of what was fitted
    """
    coefficients = fit.solution.coefficients
    return {
        "format": FORMAT,
        "name": name,
        "gpu": gpu,
        "device": device,
        "vllm_version": vllm_version,
        "model": dict(model),
        "engine": {
            "tp": tp,
            "pp": pp,
            "dtype": dtype,
            "block_size": config.block_size,
            "num_gpu_blocks": config.num_blocks,
            "max_num_batched_tokens": config.max_num_batched_tokens,
            "max_num_seqs": config.max_num_seqs,
            "max_model_len": config.max_model_len,
        },
        "coefficients": {key: _short(coefficients[key]) for key in (*COEFFICIENTS, *LAUNCHES)},
        "relative_covariance": [[_short(entry) for entry in row] for row in fit.solution.covariance.tolist()],
        "correction": {
            "tokens": coefficients.knots_tokens.tolist(),
            "ratio": [_short(ratio) for ratio in coefficients.knot_ratios.tolist()],
        },
        "capture_sizes": list(captured),
        "between_steps_s": _short(fit.between_steps_s),
        "between_sequence_s": _short(fit.between_sequence_s),
        "request_overhead_s": 0.0,
        "expected_error": None,
        "ranges": {key: list(value) for key, value in fit.ranges.items()},
        "errors": {
            kind: {regime: _error(error) for regime, error in found.items()}
            for kind, found in (("in_sample", fit.in_sample), ("held_out", fit.held_out))
        },
        "outlier_share": _short(fit.outlier_share),
        "steps": steps,
        "sources": dict(sources),
    }


def _error(error: RegimeError) -> dict[str, float]:
    shares = {key: _short(value) for key, value in asdict(error).items()}
    return {**shares, "points": error.points}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def sha256(path: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(value: Any, path: Path) -> None:
    """Write JSON so that a reader sees all of it or nothing.

    Raises
    ------
    InputError : the file cannot be written
    """
    make_folder(path.parent)
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def merge_profiles(files: Sequence[Path], folder: Path) -> list[dict[str, Any]]:
    """Copy profiles into a folder under names that say what they are, with an index; returns the index's rows.

    Two profiles of the same engine, GPU, model and vLLM version are a conflict unless they are equal.

    Raises
    ------
    InputError : a file that is no profile, or a conflict, naming both files
    """
    rows: dict[str, dict[str, Any]] = {}
    values: dict[str, Mapping[str, Any]] = {}
    origin: dict[str, Path] = {}
    index = folder / "index.json"
    kept = sorted(path for path in folder.glob("*.json") if path != index)
    for file in [*kept, *files]:
        value = read_profile(file).value
        key = file_name(value)
        if key in values and values[key] != value:
            raise InputError(
                Problem(f"is another profile of what {origin[key]} describes; keep one of them", str(file), got=key)
            )
        values[key], origin[key] = value, file
        rows[key] = {
            "file": key,
            "gpu": value["gpu"],
            "device": value["device"],
            "model": str(value["name"]),
            "vllm_version": value["vllm_version"],
            "sha256": hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest(),
            "sources": value["sources"],
        }
    for key, value in values.items():
        write_json(value, folder / key)
    found = [rows[key] for key in sorted(rows)]
    write_json(found, index)
    return found


def file_name(value: Mapping[str, Any]) -> str:
    """GPU, layout, model and engine version as a file name."""
    engine = value["engine"]
    words = f"{value['gpu'] or value['device']}-tp{engine['tp']}-pp{engine['pp']}-{engine['dtype']}-{value['name']}"
    words = f"{words}-vllm{value['vllm_version']}".lower()
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in words) + ".json"
