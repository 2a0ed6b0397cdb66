"""Serves loads on a real engine in wall-clock time and compares the simulator with what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from calibrate.experiments.design import Phase
from calibrate.experiments.loads import Load
from calibrate.experiments.profile import check_counts, contention
from calibrate.experiments.server import Server, outside_s
from calibrate.fit.fit import fit_steps
from calibrate.fit.profile_file import write_json
from calibrate.recording.bundle import META, STEPS, read_steps
from calibrate.recording.run import FORMAT, Recording, read_run
from calibrate.validate.compare import Comparison, Tolerance, compare_run
from calibrate.vllm_process import VllmProcess
from simulator.catalog.profiles import Profile, read_profile
from simulator.errors import InputError, Problem
from simulator.perf.device import BatchLimits
from simulator.perf.profile import profile_step_time
from simulator.perf.steptime import StepTime

_LIMITS = {
    "num-gpu-blocks-override": "num_gpu_blocks",
    "block-size": "block_size",
    "max-num-batched-tokens": "max_num_batched_tokens",
    "max-num-seqs": "max_num_seqs",
    "max-model-len": "max_model_len",
}
"""vLLM's arguments for the limits of a profiled engine."""
_WARM_UP = ((64, 4),) * 4


@dataclass(frozen=True, slots=True)
class Measured:
    """A profiled engine, ready to be served on and simulated.

    Attributes
    ----------
    folder : what `calibrate profile` left
    meta : its `meta.json`
    recording : its steps and limits
    step_time : from the profile given, or fitted on the steps
    """

    folder: Path
    meta: Mapping[str, Any]
    recording: Recording
    step_time: StepTime

    @property
    def arguments(self) -> list[str]:
        """vLLM's command line as it was profiled, with the limits that came of it: an engine in a process and a server
        have other defaults, and a start with compiled graphs finds another number of KV blocks than one without."""
        said = list(self.meta["engine_arguments"])
        named = {word.split("=")[0].removeprefix("--").replace("_", "-") for word in said if word.startswith("--")}
        config = self.meta["config"]
        limits = {name: config.get(key) for name, key in _LIMITS.items()}
        return said + [f"--{name}={value}" for name, value in limits.items() if value is not None and name not in named]

    @property
    def model(self) -> str:
        """Model folder or name."""
        return self.arguments[self.arguments.index("--model") + 1]


def read_measured(folder: Path, profile_file: Path | None) -> Measured:
    """Read a profile folder, and the profile to check, if another than the one that fits its steps.

    Raises
    ------
    InputError : not a folder of `calibrate profile`, or a profile of another engine
    """
    if not folder.is_dir():
        raise InputError(Problem("expected the folder that `servecast calibrate profile` leaves", file=str(folder)))
    recording, _ = read_steps(folder)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    limits = recording.config
    if profile_file is not None:
        profile = read_profile(profile_file)
        _same_engine(profile, profile_file, recording)
        step_time = profile.step_time(BatchLimits(limits.max_num_batched_tokens, limits.max_num_seqs))
    else:
        found = fit_steps(recording.steps, recording.capture_sizes, file=str(folder))
        step_time = profile_step_time(
            found.solution.coefficients,
            limits.max_num_batched_tokens,
            limits.max_num_seqs,
            str(folder),
            between_steps_s=found.between_steps_s,
            between_sequence_s=found.between_sequence_s,
        )
    return Measured(folder, meta, recording, step_time)


def _same_engine(profile: Profile, file: Path, recording: Recording) -> None:
    """Refuse a profile of another model, device or vLLM, naming each difference."""
    sides = {
        "model": (_architecture(profile.model), _architecture(recording.model)),
        "device": (profile.value.get("device"), recording.device),
        "vllm_version": (profile.value.get("vllm_version"), recording.vllm_version),
    }
    problems = [
        Problem(f"the engine to validate on has {theirs}", file=str(file), path=name, got=str(ours))
        for name, (ours, theirs) in sides.items()
        if ours != theirs
    ]
    if problems:
        raise InputError(*problems)


def _architecture(model: Mapping[str, Any]) -> str:
    names = (
        "model_type",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    return ", ".join(f"{name} {model[name]}" for name in names if name in model)


def serve_in_process(
    start: Callable[[], VllmProcess], measured: Measured, loads: Sequence[Load], report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Serve loads on an engine of its own; requests are handed over between steps.

    Raises
    ------
    EngineError : vLLM failed
    InputError : the engine's limits are not those that were profiled
    """
    runs = []
    with start() as process:
        limits = process.call("start", arguments=measured.arguments)["limits"]
        _same_limits(limits, measured)
        for _ in range(2):
            process.call("point", phases=[asdict(Phase(add=_WARM_UP, steps=8))])
        for load in loads:
            report(f"{load.label} at {load.rate_rps:.3g} requests/s: {load.arrival_s[-1]:.0f} s")
            run = process.call("serve", requests=load.requests())
            if remark := contention(run["cpu_share"], measured.meta["hardware"]):
                report(remark)
            runs.append({"rate_rps": load.rate_rps, "arrivals": load.label, "load": load.share, **run})
        check_counts(process.call("self_test"), str(measured.recording.vllm_version))
    return runs


def _same_limits(limits: Mapping[str, Any], measured: Measured) -> None:
    profiled = measured.meta["config"]
    problems = [
        Problem(
            "the engine has other limits than the profiled one", file=str(measured.folder), path=name, got=f"{value}"
        )
        for name, value in limits.items()
        if name in profiled and profiled[name] != value
    ]
    if problems:
        raise InputError(*problems)


def serve_over_http(
    python: str, measured: Measured, loads: Iterable[Load], out: Path, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Serve loads on an OpenAI-compatible server, with vLLM's serving benchmark as the client."""
    runs = []
    vocabulary = int(measured.meta["model"]["vocab_size"])
    with Server(python, measured.model, vocabulary, measured.arguments, out) as server:
        report("starting the server")
        server.wait()
        for k, load in enumerate(loads):
            report(f"server, {load.label} at {load.rate_rps:.3g} requests/s: {load.arrival_s[-1]:.0f} s")
            run = server.serve(load, f"load-{k}")
            if run["failed"]:
                report(f"{run['failed']} of {len(load.isl)} requests failed and are left out")
            if remark := contention(run["cpu_share"], measured.meta["hardware"]):
                report(remark)
            runs.append({"arrivals": load.label, "load": load.share, **run})
    return runs


def write_recording(measured: Measured, runs: Sequence[Mapping[str, Any]], path: Path) -> Recording:
    """Write profiled steps and served runs as one `vllm-run/1` file, and read it back."""
    meta = measured.meta
    value = {
        "format": FORMAT,
        "vllm_version": meta["vllm_version"],
        "device": meta["device"],
        "model": meta["model"],
        "config": meta["config"],
        "profile_steps": profile_steps(measured.folder),
        "runs": list(runs),
    }
    write_json(value, path)
    return read_run(path)


def profile_steps(folder: Path) -> list[dict[str, Any]]:
    """The steps of a profile folder; `gap_s` is None where none was measured."""
    table = pq.read_table(folder / STEPS).to_pandas()
    steps = table.groupby("step", sort=True)
    first = steps.first()
    batches = steps[["tokens", "computed_before"]].apply(lambda rows: rows.to_numpy().tolist())
    rows = zip(first["tag"], first["dur_s"], first["gap_s"], batches, strict=True)
    return [
        {"tag": tag, "dur_s": float(dur_s), "gap_s": None if isnan(gap_s) else float(gap_s), "batch": batch}
        for tag, dur_s, gap_s, batch in rows
    ]


def compare_runs(
    measured: Measured,
    recording: Recording,
    runs: Sequence[Mapping[str, Any]],
    raw: Tolerance,
    corrected: Tolerance,
    over_http: bool,
) -> list[Comparison]:
    """One comparison a run; over HTTP the way back to the client is the run's own `outside_s`."""
    return [
        compare_run(
            run,
            recording.config,
            replace(measured.step_time, request_overhead_s=outside_s(written)) if over_http else measured.step_time,
            recording.steps,
            raw,
            corrected,
        )
        for run, written in zip(recording.runs, runs, strict=True)
    ]
