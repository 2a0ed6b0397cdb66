"""`servecast calibrate fit`: from measured steps to a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


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
    if plots:
        write_plots(found, recording.steps, plots)
    if format == "json":
        print_json(value)
        return 0
    rows = [[key, f"{number:.4g}"] for key, number in value["coefficients"].items()]
    print_table(rows, ["coefficient", "value"])
    print()
    rows = [
        [regime, str(error["points"]), *(f"{100 * error[key]:.1f} %" for key in ("median", "p90", "bias"))]
        for regime, error in value["errors"]["held_out"].items()
    ]
    print_table(rows, ["held out", "points", "median error", "p90", "bias"])
    print(f"\n{value['steps']} steps, {100 * value['outlier_share']:.1f} % outliers\nprofile: {out}")
    return 0


def model_name(model: object) -> str:
    """A short name for a Hugging Face configuration."""
    config = model if isinstance(model, dict) else {}
    path = config.get("_name_or_path") or config.get("model_type") or "model"
    return str(path).rstrip("/").rsplit("/", 1)[-1]
