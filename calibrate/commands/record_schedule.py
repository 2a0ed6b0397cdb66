"""`servecast calibrate record-schedule`: what vLLM's scheduler decides, and whether ours does too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from calibrate.experiments.schedules import Recording


def record_schedule(
    *engine_arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path,
    model: str | None = None,
    random: int | None = None,
    workloads: int = 1,
    seed: int = 0,
    using: Literal["scheduler", "engine"] = "scheduler",
    vllm_python: Path | None = None,
) -> int:
    """Record vLLM's schedules, replay each and compare every step. Exits with 1 on any difference.

    Parameters
    ----------
    engine_arguments: vLLM's engine arguments, as on its own command line; not with --random
    out: folder for the recordings, format vllm-schedule-trace/1
    model: model folder or name; a one-layer model if not given
    random: record this many random engines, each with a random workload
    workloads: random workloads on the engine that the engine arguments describe
    seed: of the random engines and workloads
    using: with --random, drive vLLM's scheduler alone (fast) or start the whole engine for each
    vllm_python: interpreter that has vLLM
    """
    import time

    from calibrate.experiments.schedules import SYNCHRONOUS, TINY_MODEL, record_given, record_random
    from calibrate.vllm_process import VllmProcess, find_interpreter
    from calibrate.vllm_process import engine_arguments as command_line
    from simulator.errors import InputError, Problem

    if random is not None and engine_arguments:
        raise InputError(Problem("random engines choose their own arguments", path="--random", got=engine_arguments[0]))
    python = find_interpreter(vllm_python)

    def start() -> VllmProcess:
        return VllmProcess(python, out / "vllm.log")

    started_s = time.monotonic()
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
