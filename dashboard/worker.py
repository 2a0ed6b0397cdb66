"""Runs a scenario, or a sweep of it: `python -m dashboard.worker JOB SCENARIO OUT EXPLORE_S [GRID…]`."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dashboard.limits import MAX_RUN_S, limit_memory
from dashboard.line import Status, read_status, write_status
from dashboard.workspace import within
from simulator.endings import raises
from simulator.errors import InputError
from simulator.run.budget import OverTimeError
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.simulate.store import user_store
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep
from simulator.workload.long_reads import long_reads, so_far

_PERIOD_S = 0.3
_NICE = 10
"""Whoever reads pages goes before."""


def work(folder: Path, file: Path, out: Path, explore_s: float, grid: Sequence[str] = ()) -> None:
    """Run the scenario as `servecast run` or `servecast sweep` does, and keep the job's status up to date."""
    signal.signal(signal.SIGINT, raises(KeyboardInterrupt))  # a shell may have started the server with it ignored
    signal.signal(signal.SIGALRM, raises(OverTimeError))
    signal.alarm(MAX_RUN_S)
    limit_memory()
    os.nice(_NICE)
    told_s = 0.0
    now = replace(read_status(folder) or Status("running"), doing="compiling kernels", began_s=time.time())
    write_status(folder, now)

    def tell(doing: str, share: float) -> None:
        nonlocal told_s, now
        now = replace(now, share=share, doing=f"simulating {doing}")
        if time.monotonic() - told_s >= _PERIOD_S:
            told_s = time.monotonic()
            write_status(folder, now)

    def tell_reading(trace: Path, rows: int) -> None:
        nonlocal now
        now = replace(now, doing=f"reading {trace.name}, {so_far(trace, rows)}")
        write_status(folder, now)

    try:
        with long_reads(tell_reading):
            bundle = (
                run_sweep(read_sweep(file, grid), out, 1, tell).bundle if grid else _run(file, out, tell, explore_s)
            )
        signal.alarm(0)
        now = replace(now, state="done", share=1.0, doing="done", bundle=bundle.name)
    except OverTimeError:
        words = f"took longer than the {MAX_RUN_S / 3600:g} h allowed here: use the command line"
        now = replace(now, state="refused", problems=(words,))
    except MemoryError:
        most_gib = resource.getrlimit(resource.RLIMIT_DATA)[0] / 2**30
        words = f"took more than the {most_gib:.3g} GiB of memory allowed here: make it smaller"
        now = replace(now, state="refused", problems=(words,))
    except InputError as error:
        now = replace(now, state="refused", problems=_words(folder, error))
    except KeyboardInterrupt:
        now = replace(now, state="cancelled")
    except Exception as error:
        now = replace(now, state="failed", problems=(f"{type(error).__name__}: {error}",))
        raise
    finally:
        write_status(folder, now)


def _run(file: Path, out: Path, tell: Callable[[str, float], None], explore_s: float) -> Path:
    store = user_store()
    run = simulate(load_scenario(file), out, tell, store=store, advise=True, explore_s=explore_s)
    store.record()
    return run.bundle


def _words(folder: Path, error: InputError) -> tuple[str, ...]:
    return tuple(str(within(folder / "scenario", problem)) for problem in error.problems)


if __name__ == "__main__":
    job, scenario, bundles = map(Path, sys.argv[1:4])
    work(job, scenario, bundles, float(sys.argv[4]), sys.argv[5:])
