"""`servecast doctor`: is this installation in order?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.run.bench import Setting


def doctor(*, warm: bool = False, warm_all: bool = False) -> int:
    """Say who owns the import names, which versions run, and where compiled kernels are kept. Exits with 1 on trouble.

    For example:

        servecast doctor --warm

    Parameters
    ----------
    warm
        Compile the kernels now, so that the first run does not wait for it.
    warm_all
        Compile those of fleets that plan one step at a time and of several KV cache groups too, in parallel.
    """
    from importlib.metadata import packages_distributions, version
    from importlib.util import find_spec

    from simulator.cli.output import print_table
    from simulator.jit import CACHE_DIR

    trouble = 0
    owners = packages_distributions()
    rows = [["servecast", version("servecast")]]
    for name in ("simulator", "calibrate", "dashboard"):
        found = find_spec(name)
        other = [owner for owner in owners.get(name, []) if owner != "servecast"]
        trouble += found is None or bool(other)
        rows.append([name, f"also claimed by {', '.join(other)}" if other else ("ok" if found else "not found")])
    rows += [[name, version(name)] for name in ("numba", "numpy", "pandas", "pyarrow", "scipy", "simpy")]
    rows.append(["compiled kernels", str(CACHE_DIR)])
    if warm or warm_all:
        warm_up_all() if warm_all else warm_up()
        rows.append(["warm", "kernels are compiled"])
    print_table(rows, ["what", "state"])
    return 1 if trouble else 0


def warm_up() -> None:
    """Run a tiny simulation with plans in flight, vLLM's default: it compiles what most fleets run on into the cache.

    Fleets whose pools all plan one step at a time run on kernels of their own, compiled when first asked for.
    """
    import numpy as np

    from simulator.engine.config import EngineConfig
    from simulator.engine.modes.spec import Flight, Modes
    from simulator.fleet.single import run_single
    from simulator.perf.steptime import constant_step_time
    from simulator.workload.requests import make_requests

    modes = Modes(flight=Flight(depth=2, asynchronous=True))
    config = EngineConfig(num_blocks=64, max_num_seqs=8, max_num_batched_tokens=64, max_model_len=256, modes=modes)
    requests = make_requests(np.array([0.0]), np.array([16]), np.array([4]))
    run_single(config, constant_step_time(0.01, 64, 8), requests)


def warm_up_all() -> None:
    """Compile the kernels of every kind of fleet, those that take longest first, on all cores."""
    from simulator.processes import cores, results
    from simulator.run.bench import Setting

    kinds = (Setting(windows=True), Setting(asynchronous=True), Setting())
    for _ in results(_warm_up, None, kinds, min(cores(), len(kinds))):
        pass


def _warm_up(_: None, kind: Setting) -> None:
    from simulator.run.bench import warm_up

    warm_up(kind)
