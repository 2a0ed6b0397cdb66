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
        Compile those of fleets that plan one step at a time, of several KV cache groups, and of rarer modes (drafts
        beside groups, adapters, pictures, grammars, stores, resets; blocks in the memory of the CPU) too, in parallel.
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
        warm_up(everything=warm_all)
        rows.append(["warm", "kernels are compiled"])
    print_table(rows, ["what", "state"])
    return 1 if trouble else 0


def warm_up(*, everything: bool = False) -> None:
    """Compile into the cache what most fleets run on, plans in flight as vLLM has them by default, or every kind.

    Fleets whose pools all plan one step at a time, engines with several KV cache groups, those with rarer modes, and
    those with blocks in the memory of the CPU run on kernels of their own, compiled when first asked for. Those that
    take longest come first, on all cores.
    """
    from simulator.processes import cores, results
    from simulator.run.bench import Setting

    kinds = [Setting(asynchronous=True)]
    if everything:
        beside = Setting(prefix_caching=True, asynchronous=True, offload=True)
        kinds = [beside, Setting(adapters=True), Setting(windows=True), *kinds, Setting()]
    for _ in results(_compiled, None, kinds, min(cores(), len(kinds))):
        pass


def _compiled(_: None, kind: Setting) -> None:
    from simulator.run.bench import warm_up

    warm_up(kind)
