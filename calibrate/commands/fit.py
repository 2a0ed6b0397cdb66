"""`servecast calibrate fit`: from measured steps to a profile."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

MOST_HELD_OUT = 0.15
"""Median error of held-out steps beyond which a profile is not to be trusted."""


def fit(
    steps: Path,
    /,
    *,
    out: Path = Path("profile.json"),
    name: str | None = None,
    gpu: str | None = None,
    dtype: str = "bf16",
    tp: int = 1,
    pp: int = 1,
    plots: Path | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """Fit the step-time model to measured steps and write a profile.

    Exits with 1, and says why, where the profile is not to be trusted: held-out steps are off by more than 15 % in the
    median of a regime. A design that was cut short is told too.

    For example:

        servecast calibrate fit steps --out profile.json --name my-machine

    Parameters
    ----------
    steps
        Folder written by `servecast calibrate profile`, or a vllm-run/1 file.
    out
        Profile file.
    name
        Name of the profile; the model's unless given.
    gpu
        The GPU's name in the catalog, so that scenarios can use the profile.
    dtype
        Weight format of the measured engine.
    tp
        Its tensor-parallel size.
    pp
        Its pipeline-parallel size.
    plots
        Also write predicted against measured, and residuals, as an HTML page.
    format
        Table for people, json for programs.
    """
    from calibrate.fit.fit import fit_steps
    from calibrate.fit.plots import write_plots
    from calibrate.fit.profile_file import profile_value, sha256, write_json
    from calibrate.recording.bundle import read_steps
    from simulator.catalog.gpus import gpu as catalog_gpu
    from simulator.cli.output import print_json, print_table

    if gpu is not None:
        catalog_gpu(gpu)
    recording, files = read_steps(steps)
    found = fit_steps(recording.steps, recording.capture_sizes, file=str(steps))
    value = profile_value(
        found,
        recording.config,
        name=name or model_name(recording.model),
        model=recording.model,
        device=recording.device,
        vllm_version=recording.vllm_version,
        gpu=gpu,
        tp=tp,
        pp=pp,
        dtype=dtype,
        captured=recording.capture_sizes,
        steps=len(recording.steps),
        sources={file.name: sha256(file) for file in files},
    )
    write_json(value, out)
    remarks = doubts(value["errors"]["held_out"], steps)
    for remark in remarks:
        print(remark, file=sys.stderr)
    code = 1 if any(error["median"] > MOST_HELD_OUT for error in value["errors"]["held_out"].values()) else 0
    if plots:
        write_plots(found, recording.steps, plots)
    if format == "json":
        print_json(value)
        return code
    rows = [[key, f"{number:.4g}"] for key, number in value["coefficients"].items()]
    print_table(rows, ["coefficient", "value"])
    print()
    rows = [
        [regime, str(error["points"]), *(f"{100 * error[key]:.1f} %" for key in ("median", "p90", "bias"))]
        for regime, error in value["errors"]["held_out"].items()
    ]
    print_table(rows, ["held out", "points", "median error", "p90", "bias"])
    print(f"\n{value['steps']} steps, {100 * value['outlier_share']:.1f} % outliers\nprofile: {out}")
    return code


def doubts(held_out: Mapping[str, Mapping[str, float]], folder: Path) -> list[str]:
    """Why a profile is not to be trusted: a design cut short, a regime without points of its own, large errors."""
    from calibrate.recording.bundle import missing_points
    from calibrate.recording.steps import REGIMES

    found = []
    if (points := missing_points(folder)) is not None:
        how = "the same `servecast calibrate profile` goes on"
        found.append(f"{folder}: only {points[0]} of {points[1]} points were measured: {how}")
    missing = [regime for regime in REGIMES if regime not in held_out]
    if missing:
        found.append(f"no held-out steps of {', '.join(missing)}: nothing says how far these are off")
    found += [
        f"held-out {regime} steps are off by {100 * error['median']:.0f} % in the median (more than "
        f"{100 * MOST_HELD_OUT:.0f} %): measure more points, or without other work on the machine"
        for regime, error in held_out.items()
        if error["median"] > MOST_HELD_OUT
    ]
    return found


def model_name(model: object) -> str:
    """A short name for a Hugging Face configuration."""
    config = model if isinstance(model, dict) else {}
    path = config.get("_name_or_path") or config.get("model_type") or "model"
    return str(path).rstrip("/").rsplit("/", 1)[-1]
