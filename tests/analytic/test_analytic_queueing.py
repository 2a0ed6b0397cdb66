"""One engine as a queue: waiting times against Pollaczek-Khinchine, M/M/1, M/D/1 and Erlang C.

With a constant step and one slot a request of k tokens holds the engine for exactly k steps, and an idle engine starts
at the instant of an arrival: an M/G/1 queue. With c slots, arrivals to a busy engine join at the next step, so the wait
is that of M/G/c up to one step. Intervals are Student-t over replications, 99.9 %; seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, STEP_S, Source, fleet, in_flight_at, pool
from fleet_cases import serve as serve_fleet
from numpy.typing import NDArray
from scipy import stats

from simulator.engine.config import EngineConfig
from simulator.fleet.single import run_single
from simulator.perf.steptime import constant_step_time
from simulator.rng import stream
from simulator.workload.requests import make_requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, ClosedLoopArrivals, Constant, WorkloadSpec

REPLICATIONS = 12
Tokens = Callable[[np.random.Generator, int], NDArray[np.int64]]


def geometric(mean_tokens: float) -> Tokens:
    return lambda rng, n: rng.geometric(1.0 / mean_tokens, n)


def constant(tokens: int) -> Tokens:
    return lambda rng, n: np.full(n, tokens)


def serve(seed: int, rate: float, tokens: Tokens, step_s: float, slots: int, n: int) -> NDArray[Any]:
    """Records of `n` requests in order of arrival, after the first tenth."""
    rng = stream(seed, "queueing")
    osl = tokens(rng, n)
    config = EngineConfig(
        num_blocks=20_000 * slots,
        max_num_seqs=slots,
        max_num_batched_tokens=max(slots, 8),
        max_model_len=20_000,
        enable_prefix_caching=False,
    )
    requests = make_requests(np.cumsum(rng.exponential(1.0 / rate, n)), np.ones(n, int), osl)
    run = run_single(config, constant_step_time(step_s, config.max_num_batched_tokens, slots), requests)
    assert (run.records["status"] == 0).all()
    return np.sort(run.records, order="request")[n // 10 :]


class Interval:
    """Student-t interval of the mean of independent replications."""

    def __init__(self, samples: list[float]) -> None:
        self.mean = float(np.mean(samples))
        self.half = float(stats.t.ppf(0.9995, len(samples) - 1) * np.std(samples, ddof=1) / math.sqrt(len(samples)))

    def holds(self, value: float, slack: float = 0.0) -> bool:
        return abs(self.mean - value) <= self.half + slack


def replicate(measure: Callable[[int], float]) -> Interval:
    return Interval([measure(seed) for seed in range(REPLICATIONS)])


def mean_wait_s(records: NDArray[Any]) -> float:
    return float((records["scheduled_s"] - records["arrival_s"]).mean())


def pollaczek_khinchine_s(rate: float, mean_s: float, mean_square_s2: float) -> float:
    """Mean wait of M/G/1: lambda E[S^2] / (2 (1 - rho))."""
    return rate * mean_square_s2 / (2.0 * (1.0 - rate * mean_s))


def erlang_c(servers: int, offered: float) -> float:
    """Probability of waiting in M/M/c with `offered` = lambda / mu erlangs."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    busy = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return busy / (sum(terms) + busy)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_slot_and_constant_outputs_are_m_d_1(load: float) -> None:
    tokens, step_s = 5, 0.2
    wait = replicate(lambda seed: mean_wait_s(serve(seed, load, constant(tokens), step_s, 1, 20_000)))
    expected = load / (2.0 * (1.0 - load))
    assert wait.holds(expected)
    assert wait.half < 0.1 * expected
    assert not wait.holds(2.0 * expected), "exponential service would wait twice as long"


@pytest.mark.parametrize("mean_tokens", [1.5, 4.0])
def test_one_slot_and_geometric_outputs_keep_to_pollaczek_khinchine(mean_tokens: float) -> None:
    load, p = 0.6, 1.0 / mean_tokens
    step_s = 1.0 / mean_tokens
    wait = replicate(lambda seed: mean_wait_s(serve(seed, load, geometric(mean_tokens), step_s, 1, 20_000)))
    expected = pollaczek_khinchine_s(load, 1.0, step_s**2 * (2.0 - p) / p**2)
    assert wait.holds(expected)
    assert wait.half < 0.1 * expected
    assert not wait.holds(load / (1.0 - load)), "steps this long are told from exponential service"


def test_many_short_steps_are_m_m_1() -> None:
    load, mean_tokens = 0.6, 100.0
    runs = [serve(seed, load, geometric(mean_tokens), 1.0 / mean_tokens, 1, 12_000) for seed in range(REPLICATIONS)]
    discretisation = 1.0 / (2.0 * mean_tokens)
    wait = Interval([mean_wait_s(run) for run in runs])
    assert wait.holds(load / (1.0 - load), discretisation * load / (1.0 - load))
    assert wait.half < 0.1 * wait.mean
    waiting = Interval([float((run["scheduled_s"] > run["arrival_s"]).mean()) for run in runs])
    assert waiting.holds(load)
    assert waiting.half < 0.02
    for share in (0.5, 0.9, 0.99):
        bound_s = -math.log(1.0 - share) / (1.0 - load)
        below = Interval([float((run["finish_s"] - run["arrival_s"] <= bound_s).mean()) for run in runs])
        assert below.holds(share, discretisation), share
        assert below.half < 0.02


@pytest.mark.parametrize(("slots", "load"), [(2, 0.7), (4, 0.7), (8, 0.7)])
def test_several_slots_are_m_m_c(slots: int, load: float) -> None:
    mean_tokens = 100.0
    step_s, rate = 1.0 / mean_tokens, load * slots
    runs = [serve(seed, rate, geometric(mean_tokens), step_s, slots, 20_000) for seed in range(REPLICATIONS)]
    delayed = erlang_c(slots, rate)
    expected = delayed / (slots - rate)
    wait = Interval([mean_wait_s(run) for run in runs])
    assert wait.holds(expected, step_s)
    assert wait.half < 0.15 * expected
    assert not wait.holds(load / (slots - rate), step_s), "one server as fast as all of them would keep more waiting"
    held = Interval([float((run["scheduled_s"] - run["arrival_s"] > step_s).mean()) for run in runs])
    assert held.holds(delayed, 2.0 * step_s * slots)
    assert held.half < 0.05


def test_one_slot_serves_in_order_and_keeps_busy() -> None:
    """Lindley's recursion, request by request: W' = max(W + S - A, 0)."""
    step_s = 0.25
    run = serve(3, 0.8, geometric(4.0), step_s, 1, 3000)
    assert (run["scheduled_s"][1:] == np.maximum(run["arrival_s"][1:], run["finish_s"][:-1])).all()
    assert run["finish_s"] - run["scheduled_s"] == pytest.approx(run["osl"] * step_s, abs=1e-9)


def test_users_who_think_are_no_herd() -> None:
    """N users whose answers take S whatever the batch, and who think Z on average: each waits for S/(S + Z) of the time
    by itself, so binomially many are in flight. A pause that is the same for all would keep all of them together."""
    users, tokens, think_s, until_s = 60, 50, 10.0 * 50 * STEP_S, 20_000.0
    loop = ClassWorkload("users", ClosedLoopArrivals(users, think_s), Constant(1), Constant(tokens))
    closed = build_source(WorkloadSpec((loop,)), until_s, 1).closed_loops
    roomy = replace(ENGINE, num_blocks=20 * users, max_num_seqs=users)
    spec = fleet((pool(engine=roomy, power_w_by_seqs=np.zeros(users + 1)),))
    records = serve_fleet(spec, Source((), closed), until_s=until_s).records
    waiting = 1.0 / 11.0
    in_flight = in_flight_at(records, np.arange(100.0, until_s - 100.0, think_s))
    assert in_flight.mean() == pytest.approx(users * waiting, rel=0.05)
    assert in_flight.var() == pytest.approx(users * waiting * (1.0 - waiting), rel=0.15)
