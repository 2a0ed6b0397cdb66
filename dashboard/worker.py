"""Runs one scenario for the dashboard: `python -m dashboard.worker JOB SCENARIO OUT EXPLORE_S`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from dashboard.jobs import Status, write_status
from dashboard.limits import MAX_RUN_S, limit_memory
from dashboard.workspace import within
from simulator.errors import InputError
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.simulate.store import user_store

_PERIOD_S = 0.3
_NICE = 10
"""Whoever reads pages goes before."""


def work(folder: Path, file: Path, out: Path, explore_s: float) -> None:
    """Run the scenario as `servecast run` does, and keep the job's status up to date."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the server with it ignored
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(MAX_RUN_S)
    limit_memory()
    os.nice(_NICE)
    began_s = time.time()
    (folder / "pid").write_text(str(os.getpid()), encoding="utf-8")
    told_s = 0.0
    now = Status("running", doing="compiling kernels", began_s=began_s)
    write_status(folder, now)

    def tell(doing: str, share: float) -> None:
        nonlocal told_s, now
        now = Status("running", share, f"simulating {doing}", began_s)
        if time.monotonic() - told_s >= _PERIOD_S:
            told_s = time.monotonic()
            write_status(folder, now)

    try:
        store = user_store()
        run = simulate(load_scenario(file), out, tell, store=store, advise=True, explore_s=explore_s)
        store.record()
        signal.alarm(0)
        now = Status("done", 1.0, "done", began_s, run.bundle.name)
    except InputError as error:
        now = Status("refused", now.share, now.doing, began_s, problems=_words(folder, error))
    except KeyboardInterrupt:
        now = Status("cancelled", now.share, now.doing, began_s)
    except Exception as error:
        now = Status("failed", now.share, now.doing, began_s, problems=(f"{type(error).__name__}: {error}",))
        raise
    finally:
        write_status(folder, now)


def _too_long(*_: object) -> None:
    raise InputError(f"took longer than the {MAX_RUN_S / 3600:g} h allowed here: run it with `servecast run`")


def _words(folder: Path, error: InputError) -> tuple[str, ...]:
    return tuple(str(within(folder / "scenario", problem)) for problem in error.problems)


if __name__ == "__main__":
    job, scenario, bundles = map(Path, sys.argv[1:4])
    work(job, scenario, bundles, float(sys.argv[4]))
