"""`servecast calibrate record-schedule`: what vLLM's scheduler decides, and whether ours does too."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from calibrate.experiments.core_schedules import CoreRecording
    from calibrate.experiments.schedules import Recording


def record_schedule(
    *engine_arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path,
    model: str | None = None,
    random: int | None = None,
    modes: str = "all",
    first: int = 0,
    edges: bool = False,
    workloads: int = 1,
    seed: int = 0,
    using: Literal["core", "scheduler", "engine"] = "core",
    vllm_python: Path | None = None,
) -> int:
    """Record vLLM's schedules, replay each and compare every step. Exits with 1 on any difference.

    For example:

        servecast calibrate record-schedule --out recordings --random 20

    Parameters
    ----------
    engine_arguments
        VLLM's engine arguments, as on its own command line; not with --random.
    out
        Folder for the recordings, format vllm-schedule-trace/1.
    model
        Model folder or name; a one-layer model if not given.
    random
        Record this many random engines, each with a random workload.
    modes
        With --random, what engines may be in beyond plain serving: all (but offload, many-samples, linear-connected,
        linear-prefix-connected, linear-windows, two-lengths, ranks-connected, late-arrivals, saved-states and rare
        drafters: eagle3, p-eagle, dspark, pard, medusa, suffix, ngram-gpu), plain, or names separated by commas
        (async, pipeline, ngram, eagle, mtp, mtp-modules, draft-model, dflash, drafts-by-batch-size, window, hybrid,
        local-chunks, linear, linear-prefix, hybrid-off, nixl-decode, nixl-prefill, store, offload, priority,
        chunking-off, long-prefill, adaptive-prefill, active-seqs, scheduled-tokens, watermark, encoder, lora,
        grammar, abort, reset, salt, parallel-sampling, stop, data-parallel, prefill-interval); each engine gets a
        random combination.
    first
        Number of the first random engine, to go on where an earlier recording stopped.
    edges
        With --random, in more modes at once, with few blocks and small budgets, and requests at these limits.
    workloads
        Random workloads on the engine that the engine arguments describe.
    seed
        Of the random engines and workloads.
    using
        With --random, drive vLLM's engine core over an executor that computes nothing (all modes), its
        scheduler alone, or start the whole engine for each (both: plain serving).
    vllm_python
        Interpreter that has vLLM.
    """
    import time

    from calibrate.experiments.engine_modes import ALL, PLAIN, parse_modes
    from calibrate.experiments.schedules import SYNCHRONOUS, TINY_MODEL, record_given, record_random
    from calibrate.vllm_process import VllmProcess, find_interpreter
    from calibrate.vllm_process import engine_arguments as command_line
    from simulator.errors import InputError, Problem

    if random is not None and engine_arguments:
        raise InputError(Problem("random engines choose their own arguments", path="--random", got=engine_arguments[0]))
    allowed = parse_modes(modes)
    if using != "core" and modes not in (ALL, PLAIN):
        raise InputError(
            Problem("only the engine core is driven in these modes; say --using core", path="--modes", got=modes)
        )
    python = find_interpreter(vllm_python)

    def start() -> VllmProcess:
        return VllmProcess(python, out / "vllm.log")

    started_s = time.monotonic()
    if random is not None and using == "core":
        from calibrate.experiments.core_schedules import record_cores

        return _report_cores(record_cores(start, out, random, seed, allowed, first, edges), random, started_s)
    if random is not None:
        found = record_random(start, out, random, seed, using == "engine")
        return _report(found, random, started_s)
    arguments = command_line(model or str(TINY_MODEL), engine_arguments, SYNCHRONOUS)
    with start() as process:
        return _report(record_given(process, out, arguments, workloads, seed), workloads, started_s)


def _report(recordings: Iterator[Recording], expected: int, started_s: float) -> int:
    """Print differences as they come, and the count at the end."""
    import time

    identical = total = steps = 0
    for recording in recordings:
        total += 1
        identical += recording.identical
        steps += recording.checks[0].n_steps
        for check in recording.checks:
            if check.first_difference:
                print(f"{check.file}: {check.engine}: {check.identical_steps} / {check.n_steps} steps identical")
                print(check.first_difference)
        left_s = (time.monotonic() - started_s) / total * (expected - total)
        print(f"{total} of {expected} recorded, about {left_s:.0f} s left", file=sys.stderr)
    print(f"{identical} / {total} recordings identical, {steps} steps")
    return 0 if identical == total else 1


def _report_cores(recordings: Iterator[CoreRecording], expected: int, started_s: float) -> int:
    """Print differences and refusals as they come; then by mode what was recorded, and what modes really did."""
    import time

    from simulator.cli.output import print_table

    done: list[CoreRecording] = []
    for recording in recordings:
        done.append(recording)
        if recording.refusal:
            print(f"not recorded: {', '.join(recording.modes)}: {recording.refusal}", file=sys.stderr)
        for check in recording.checks:
            if check.first_difference:
                print(f"{check.file}: {check.engine}: {check.identical_steps} / {check.n_steps} steps identical")
                print(check.first_difference)
        if len(done) % 10 == 0 or len(done) == expected:
            left_s = (time.monotonic() - started_s) / len(done) * (expected - len(done))
            print(f"{len(done)} of {expected} engines, about {left_s:.0f} s left", file=sys.stderr)
    names = sorted({mode for recording in done for mode in recording.modes})
    print_table(
        [_row(name, [recording for recording in done if name in recording.modes]) for name in names],
        ["mode", "engines", "not recorded", "steps identical / recorded", "by the kernel"],
    )
    recorded = [recording for recording in done if recording.path]
    identical = sum(not recording.differs for recording in recorded)
    steps = sum(recording.checks[0].n_steps for recording in recorded)
    print(f"{identical} / {len(recorded)} recordings identical, {steps} steps{_effects(recorded)}")
    for version in sorted({check.vllm_version for recording in recorded for check in recording.checks}):
        known = all((recording.facts or {}).get("proven_version") for recording in recorded)
        print(f"vLLM {version}" + ("" if known else ": this recorder was not proven on it, and neither are its rules"))
    return 0 if identical == len(recorded) else 1


def _effects(recorded: list[CoreRecording]) -> str:
    """How often modes had an effect, over all recordings."""
    did: Counter[str] = Counter()
    for recording in recorded:
        did.update((recording.facts or {}).get("counts", {}))
    return "".join(f", {many} {what.replace('_', ' ')}" for what, many in did.items() if many)


def _row(name: str, recordings: list[CoreRecording]) -> list[str]:
    recorded = [recording for recording in recordings if recording.path]
    missing = len(recordings) - len(recorded)
    replays = [_steps(recorded, engine) for engine in ("reference", "kernel")]
    return [name, str(len(recordings)), str(missing or ""), *replays]


def _steps(recorded: list[CoreRecording], engine: str) -> str:
    checks = [
        check for recording in recorded for check in recording.checks if check.engine == engine and not check.missing
    ]
    same, steps = sum(check.identical_steps for check in checks), sum(check.n_steps for check in checks)
    return f"{same:,} / {steps:,}" if checks else "not simulated"
