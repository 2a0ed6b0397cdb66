"""`servecast calibrate profile`: time the steps of real vLLM."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def profile(
    *engine_arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: str,
    out: Path,
    repeats: int = 3,
    time_budget_s: float = 1800.0,
    seed: int = 0,
    vllm_python: Path | None = None,
) -> int:
    """Run a design of experiments on real vLLM and leave its steps in a folder that `calibrate fit` reads.

    Weights are dummies and scheduling is synchronous unless the engine arguments say otherwise. Ctrl-C keeps what was
    measured; the same command goes on from there.

    For example:

        servecast calibrate profile --model ./qwen3-0.6b --out steps -- --max-model-len 4096

    Parameters
    ----------
    engine_arguments
        VLLM's engine arguments, as on its own command line.
    model
        Model folder or name.
    out
        Folder for steps.parquet and meta.json.
    repeats
        Times that each point is measured.
    time_budget_s
        The design is cut down to fit, and no point begins later than this after the first one's first step; starting
        the engine does not count.
    seed
        Of the random order.
    vllm_python
        Interpreter that has vLLM.
    """
    from calibrate.experiments.profile import DEFAULTS, Options, Profiler, contention
    from calibrate.experiments.store import PointStore
    from calibrate.vllm_process import VllmProcess, find_interpreter
    from calibrate.vllm_process import engine_arguments as command_line
    from simulator.errors import InputError, Problem

    if repeats < 1 or time_budget_s <= 0:
        raise InputError(Problem("must be positive", path="--repeats, --time-budget-s"))
    python = find_interpreter(vllm_python)
    named = str(Path(model).resolve()) if Path(model).is_dir() else model
    arguments = command_line(named, engine_arguments, DEFAULTS)
    store = PointStore(out, {"arguments": arguments, "seed": seed})

    def report(done: int, total: int, left_s: float) -> None:
        print(f"{done} of {total} points, about {left_s:.0f} s left", file=sys.stderr)

    profiler = Profiler(
        lambda: VllmProcess(python, out / "vllm.log"), arguments, store, Options(repeats, time_budget_s, seed), report
    )
    complete = profiler.run()
    if not store.measured:
        why = store.failed[0]["message"] if store.failed else "the design has none"
        raise InputError(Problem(f"no point was measured: {why}", file=str(out)))
    steps = sum(len(point["rows"]) for point in store.measured)
    failed = f", {len(store.failed)} failed" if store.failed else ""
    print(f"{steps} steps from {len(store.measured)} points{failed}{'' if complete else ', time used up'}: {out}")
    remark = contention(profiler.cpu_share, profiler.info["device"])
    if remark:
        print(remark, file=sys.stderr)
    if not profiler.info["versions"]["tested"]:
        print(
            f"vLLM {profiler.info['versions']['vllm']} is untried, its counters agree with the steps", file=sys.stderr
        )
    return 0
