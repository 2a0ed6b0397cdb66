"""What a run needs, estimated before it begins, and limits of time and memory that end it by design."""

from __future__ import annotations

import math
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.endings import raises
from simulator.engine import state
from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.room import room_bytes
from simulator.engine.modes.offload.spec import offload_of
from simulator.errors import InputError, Problem
from simulator.fleet.spans import union
from simulator.resolve.admissible import expected_requests, mean_output_tokens
from simulator.resolve.demand import workload_spec
from simulator.resolve.horizon import horizon_of
from simulator.resolve.open_thresholds import has_open_threshold
from simulator.resolve.sizes import has_open_sizes, open_pools
from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import simulated_loads
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import over_time
from simulator.schema.pool import QueueAutoscaler
from simulator.size.expected import THRESHOLDS, expected_trials
from simulator.units import BYTES_PER_GIB, SECONDS_PER_DAY, rough_span_words
from simulator.workload.lengths import length_mean
from simulator.workload.sessions import BLOCK
from simulator.workload.spec import ClassWorkload, Sessions

LONGEST_S = SECONDS_PER_DAY
"""Estimated time beyond which a run is not begun unless more is allowed."""
REQUEST_S, TOKEN_S, _DECISION_S = 1e-5, 1e-8, 1e-5
"""Of one core: for a request, an output token, a decision of an autoscaler (docs/reliability.md)."""
_TYPICAL = 0.4
"""Of that estimate, as `python bench/needs.py` measured it for short answers (docs/reliability.md)."""
_PLACES = 20
"""Values of an assumption at which further trials look until they know where the winner changes, about."""
_PROGRAM_BYTES = 400 * 2**20
_RECORD_BYTES = 200
"""Of a user who waits for answers: requests drawn ahead, timers."""
_TURN_BYTES = 950
"""Of a turn that is built or still to come (726 to 914 measured, docs/reliability.md)."""
_LEAST_BYTES = 2**28
_MOST = 1e9
"""Of both limits, seconds and GiB, that the system still counts."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may need.

    Attributes
    ----------
    seconds : of wall clock; None for as long as it takes, if that is estimated below `LONGEST_S`
    memory_bytes : of each process
    """

    seconds: float | None
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run needs at least, about.

    Attributes
    ----------
    seconds : of one core, over all topologies and replications
    """

    seconds: float
    memory_bytes: float

    def __str__(self) -> str:
        return f"about {self.memory_bytes / BYTES_PER_GIB:.3g} GiB and {rough_span_words(self.seconds)} of one core"


class OverTimeError(BaseException):
    """The time is over; not caught by what goes on after errors."""


def checked_budget(time_limit: float | None, memory_limit: float | None) -> Budget:
    """A budget as the command line gives it; unless given the memory that the machine has left.

    Raises
    ------
    InputError : a number that is out of range
    """
    wrong = []
    if time_limit is not None and not 0 < time_limit <= _MOST:
        text = f"must be a positive number of seconds, at most {_MOST:g}"
        wrong.append(Problem(text, "--time-limit", got=str(time_limit)))
    if memory_limit is not None and not _LEAST_BYTES / BYTES_PER_GIB <= memory_limit <= _MOST:
        text = f"must be GiB, at least {_LEAST_BYTES / BYTES_PER_GIB:g} and at most {_MOST:g}"
        wrong.append(Problem(text, "--memory-limit", got=str(memory_limit)))
    if wrong:
        raise InputError(*wrong)
    return Budget(time_limit, memory_left() if memory_limit is None else memory_limit * BYTES_PER_GIB)


def memory_left() -> float:
    """Bytes that the machine, or the group of this process, has left."""
    left = math.inf
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            left = float(line.split()[1]) * 1024
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdecimal():
        left = min(left, float(limit[0]) - float(used[0]))
    return max(left, _LEAST_BYTES)


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def needs_of(loaded: LoadedScenario, planned: Sequence[PlannedTopology]) -> Needs:
    r"""What the replications of all topologies need under the load that is shown.

    .. math:: t = n (10 µs + o\,10 ns) + d\,10 µs

    Of one core, with n requests of o output tokens and d decisions of autoscalers; searches, months and events come on
    top. Memory is that of the largest topology: its replicas' blocks and tables, users who wait, samples of the fleet;
    and turns of conversations that are built together or under way, also those past the horizon.
    """
    run = loaded.scenario.run
    decisions = sum(_decisions(topology, run.horizon_s) for topology in planned) * run.replications
    seconds = _simulated_s(loaded) * len(planned)
    waiting = [cls.arrivals for cls in loaded.scenario.workload.classes if cls.arrivals.kind == "closed_loop"]
    memory = max((_fleet_bytes(topology) for topology in planned), default=0.0)
    memory += _PROGRAM_BYTES + _RECORD_BYTES * sum(users.concurrency for users in waiting)
    memory += _TURN_BYTES * _turns_together(loaded)
    return Needs(seconds + decisions * _DECISION_S, memory)


def _turns_together(loaded: LoadedScenario) -> float:
    r"""Turns of each class that a replication holds at once: those built together, or all that are still to come.

    .. math:: r\,m\left(1 - \frac{m}{2 D}\right), \quad m = \min(H, D)

    Of r turns a second in conversations that pause for D in all, as much of each as its age leaves, at the horizon H;
    answers take time too, so it is the least.
    """
    run, specs = loaded.scenario.run, workload_spec(loaded.scenario, loaded.path.parent).classes
    found = 0.0
    for spec in specs:
        if isinstance(spec, ClassWorkload) and isinstance(spec.arrivals, Sessions):
            turns, rate_rps = length_mean(spec.arrivals.turns), spec.arrivals.rate_rps
            built = turns * min(math.ceil(rate_rps / turns * run.horizon_s), BLOCK)
            pauses_s = (turns - 1) * spec.arrivals.think_s
            held_s = min(run.horizon_s, pauses_s)
            found += max(built, rate_rps * held_s * (1 - held_s / (2 * pauses_s)) if pauses_s > 0 else 0.0)
    return found


def _simulated_s(loaded: LoadedScenario) -> float:
    """Of one core, for all replications of one topology but the decisions of its autoscalers."""
    run, specs = loaded.scenario.run, workload_spec(loaded.scenario, loaded.path.parent).classes
    each = (expected_requests(spec, run.horizon_s) * (REQUEST_S + mean_output_tokens(spec) * TOKEN_S) for spec in specs)
    return run.replications * math.fsum(each)


def beforehand(loaded: LoadedScenario, needs: Needs) -> str:
    """What is said before a run begins: its searches and trials, and the time of one core, each about.

    A trial is taken to be half as long as the load that is shown: most sizes are refused before its end.
    """
    topologies = loaded.scenario.topologies
    open_ = [name for name, one in topologies.items() if has_open_sizes(one) or has_open_threshold(one)]
    trials, seconds = _searched(loaded, needs.seconds)
    searches = f"{trials} trials for sizes of {len(open_)} topologies, " if open_ else ""
    return f"{len(topologies)} topologies: {searches}about {rough_span_words(max(seconds, 1.0))} of one core"


def _searched(loaded: LoadedScenario, seconds: float) -> tuple[int, float]:
    """Trials of the searches of a load, and the time of these and of what is shown, where that alone takes so long."""
    topologies = loaded.scenario.topologies
    trials = sum(
        expected_trials(open_pools(loaded, name)) * (1 + THRESHOLDS * has_open_threshold(topology))
        for name, topology in topologies.items()
        if has_open_sizes(topology) or has_open_threshold(topology)
    )
    return trials, seconds * _TYPICAL * (1 + trials / 2 / max(len(topologies), 1))


def further_words(loaded: LoadedScenario) -> str:
    """What a run without time for further trials does not ask, how to ask it, and how long all of it takes, about.

    Each of `_PLACES` values of an assumption is a search of every topology in all months that are simulated.
    """
    scenario = loaded.scenario
    has_engines = any(topology.pools for name in scenario.topologies for topology in over_time(scenario, name))
    asked = ["volume", "latency limits", *["speed"] * has_engines, *["growth"] * (math.ceil(scenario.study.months) > 1)]
    _, seconds = _searched(loaded, _simulated_s(loaded) * len(scenario.topologies))
    seconds *= simulated_loads(horizon_of(loaded), scenario.run.horizon_s)
    whole = rough_span_words(max(_PLACES * len(asked) * seconds, 60.0))
    return (
        "Not asked: from which load on a rival costs less, at its best size, and which change of "
        f"{', '.join(asked[:-1])} or {asked[-1]} flips the winner. --explore-s SECONDS does, in so much time at most; "
        f"all of it takes about {whole} of one core."
    )


def check_needs(needs: Needs, budget: Budget) -> None:
    """Refuse what needs more than it may, before it begins.

    Raises
    ------
    InputError : naming the limit to raise
    """
    most_s = LONGEST_S if budget.seconds is None else budget.seconds
    wrong = []
    if needs.memory_bytes > budget.memory_bytes:
        allowed = f"{budget.memory_bytes / BYTES_PER_GIB:.3g} GiB"
        wrong.append(Problem(f"needs {needs}: make it smaller, or raise --memory-limit ({allowed}) to go on"))
    if needs.seconds > max(most_s, LONGEST_S):
        allowed = f"{rough_span_words(most_s)} unless given" if budget.seconds is None else f"{budget.seconds:g} s"
        wrong.append(Problem(f"needs {needs}: make it shorter, or raise --time-limit ({allowed}) to go on"))
    if wrong:
        raise InputError(*wrong)


@contextmanager
def within(budget: Budget) -> Iterator[None]:
    """End what is done inside when its time or memory is over.

    Raises
    ------
    InputError : which limit ended it
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = budget.memory_bytes + _data_bytes()
    limits = [limit for limit in (most, soft, hard) if limit not in (resource.RLIM_INFINITY, math.inf)]
    handler, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    before_s = 0.0
    if limits:
        resource.setrlimit(resource.RLIMIT_DATA, (int(min(limits)), hard))
    if budget.seconds is not None:
        signal.signal(signal.SIGALRM, raises(OverTimeError))
        before_s = signal.setitimer(signal.ITIMER_REAL, budget.seconds)[0]
    try:
        yield
    except OverTimeError:
        text = f"the time limit of {budget.seconds:g} s is over; what had finished is kept beside the bundle"
        raise InputError(Problem(text, "--time-limit")) from None
    except MemoryError:
        allowed = f"{budget.memory_bytes / BYTES_PER_GIB:.3g} GiB"
        text = f"the memory limit of {allowed} is reached: make it smaller, or raise it"
        raise InputError(Problem(text, "--memory-limit")) from None
    finally:
        if budget.seconds is not None:
            left_s = max(before_s - (time.monotonic() - began), 1e-3) if before_s else 0.0
            signal.setitimer(signal.ITIMER_REAL, left_s)
            signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> float:
    """Memory that this process has by now."""
    pages = _lines("/proc/self/statm")
    return float(pages[0].split()[5]) * resource.getpagesize() if pages else 0.0


def _fleet_bytes(topology: PlannedTopology) -> float:
    pools = topology.fleet.pools
    return float(sum(pool.most_replicas * _replica_bytes(pool.engine) for pool in pools))


def _replica_bytes(config: EngineConfig) -> float:
    """Arrays of one replica: calendar and phases of its decode lane, block tables, blocks of caches, chunks."""
    bytes_ = 4 * state.CALENDAR_STEPS + 8 * config.block_size + state.REPLICA.itemsize + 256 * config.max_num_seqs
    if config.enable_prefix_caching:
        entries = 1 << int(2 * config.num_blocks - 1).bit_length()
        bytes_ += config.num_blocks * state.BLOCK.itemsize + entries * state.HASH_ENTRY.itemsize
    if (memory := offload_of(config.modes)) is not None:
        bytes_ += room_bytes(memory)
    return float(bytes_)


def _decisions(topology: PlannedTopology, horizon_s: float) -> float:
    """Of autoscalers; and what comes as often: resets of caches, outages, tries to launch without capacity."""
    scalers = [pool.autoscaler for pool in topology.settings.pools]
    found = sum(horizon_s / scaler.period_s for scaler in scalers if isinstance(scaler, QueueAutoscaler))
    fleet = topology.fleet
    for outages in [*(pool.outages for pool in fleet.pools), *(provider.outages for provider in fleet.providers)]:
        found += horizon_s / (outages.mtbf_s + outages.mttr_s) if outages.mtbf_s > 0 else 0.0
    for pool in fleet.pools:
        if pool.cache_resets:
            found += pool.most_replicas * horizon_s / pool.cache_resets.every_s
        if pool.autoscaler or pool.schedule:
            dry = union(pool.reliability.stock_outs)
            dry_s = sum(max(min(end_s, horizon_s) - start_s, 0.0) for start_s, end_s in dry)
            found += pool.most_replicas * dry_s / pool.reliability.retry_s
    return found
