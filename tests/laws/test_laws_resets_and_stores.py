"""A replica forgets its prefix cache between two of its iterations, and loads what a store has over its link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, WATTS, Source, fleet

from simulator.engine.logged_step import LoggedStep
from simulator.engine.modes.spec import Flight, Modes
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import RECORD
from simulator.fleet.single import steps_of
from simulator.perf.steptime import constant_step_time
from simulator.study.fleet import KvTransfer, PoolSpec
from simulator.workload.requests import make_extras, make_requests

pytestmark = pytest.mark.rare_kernels

STEP_S = 1.0
ASYNC = Flight(2, True)
SHARED = {"segment_start": np.arange(3), "segment_id": np.array([7, 7]), "segment_tokens": np.array([64, 64])}


def served(
    modes: Modes,
    arrival_s: list[float],
    osl: int,
    *,
    reset: tuple[float, bool] | None = None,
    transfer: KvTransfer | None = None,
    **extras: Any,
) -> tuple[Any, list[LoggedStep]]:
    """Prompts of 100 tokens, the first 64 in common, on one replica with steps of a second; records, steps."""
    n = len(arrival_s)
    config = replace(ENGINE, modes=modes)
    step_time = constant_step_time(STEP_S, config.max_num_batched_tokens, config.max_num_seqs)
    pool = PoolSpec("p", "site", 1, 1, config, step_time, WATTS, kv_transfer=transfer or KvTransfer())
    shared = {**SHARED, "segment_start": SHARED["segment_start"][: n + 1], "segment_id": SHARED["segment_id"][:n]}
    shared["segment_tokens"] = SHARED["segment_tokens"][:n]
    requests = make_requests(np.array(arrival_s), np.full(n, 100), np.full(n, osl), **shared)
    source = Source((replace(requests, extras=make_extras(n, **extras)),))
    batches: list[np.ndarray[Any, Any]] = [np.zeros(0, RECORD)]
    log: list[np.ndarray[Any, Any]] = []
    plane = DataPlane(fleet((pool,)), source, (1,), 1, batches.append, log.append, asks=True)
    plane.activate(0, 0.0)
    if reset is not None:
        plane.advance(reset[0])
        plane.reset_cache(0, reset[0], reset[1])
    plane.advance(1e3)
    plane.close(1e3)
    return np.sort(np.concatenate(batches), order="request"), list(steps_of(np.concatenate(log)))


@pytest.mark.parametrize("at_s", [2.0, 2.5, 2.999])
def test_a_reset_waits_for_the_output_of_the_step_and_loses_none(at_s: float) -> None:
    """Steps at 0 (prompt), 1 and 2 give 3 tokens; then all 103 are computed again, which gives the fourth."""
    ended, steps = served(Modes(), [0.0], 6, reset=(at_s, True))
    assert [step.scheduled[0][1:] for step in steps] == [(100, 0), (1, 100), (1, 101), (103, 0), (1, 103), (1, 104)]
    assert ended["finish_s"].tolist() == [6.0]
    assert ended["preemptions"].tolist() == [1]


def test_with_a_plan_in_flight_its_output_is_thrown_away() -> None:
    """The plan after the one whose output comes is lost: a step more than without the reset."""
    without, _ = served(Modes(flight=ASYNC), [0.0], 6)
    ended, steps = served(Modes(flight=ASYNC), [0.0], 6, reset=(2.5, True))
    again = next(k for k, step in enumerate(steps) if k and step.scheduled[0][2] == 0)
    assert steps[again].scheduled[0][1:] == (103, 0)
    assert ended["finish_s"][0] == without["finish_s"][0] + STEP_S


@pytest.mark.parametrize(
    ("at_s", "running", "cached"), [(None, False, 64), (4.5, False, 0), (1.5, False, 64), (1.5, True, 64)]
)
def test_a_cache_is_forgotten_where_no_block_is_held(at_s: float | None, running: bool, cached: int) -> None:
    """Done after 3 s: a reset later finds nobody, an earlier one is refused, or preempts the request, which goes on."""
    ended, _ = served(Modes(), [0.0, 10.0], 3, reset=None if at_s is None else (at_s, running))
    assert ended["cached_tokens"].tolist() == [0, cached]


def test_after_a_reset_with_those_who_run_others_find_nothing() -> None:
    ended, _ = served(Modes(), [0.0, 2.2], 30, reset=(2.1, True))
    assert ended["preemptions"].tolist() == [1, 0]


def test_a_store_is_loaded_over_the_link() -> None:
    """4 blocks of 3e9 bytes at 4e9 bytes/s take 3 s, noticed after 0.25 s; the other 36 tokens are computed then."""
    transfer = KvTransfer(3e9, 4e9, 0.25)
    modes = Modes(connector=True, stores=True)
    stored = {"stored_tokens": np.array([64]), "stored_apart": np.array([True])}
    ended, steps = served(modes, [0.0], 3, transfer=transfer, **stored)
    assert [(step.start_s, *step.scheduled[0][1:]) for step in steps if step.scheduled] == [
        (3.25, 36, 64),
        (4.25, 1, 100),
        (5.25, 1, 101),
    ]
    assert ended["finish_s"].tolist() == [6.25]


def test_loads_go_one_after_the_other_and_not_for_what_is_cached() -> None:
    """The second request has the 64 tokens on the replica once the first one's load is there."""
    transfer = KvTransfer(3e9, 4e9, 0.0)
    modes = Modes(connector=True, stores=True)
    stored = {"stored_tokens": np.array([64, 64]), "stored_apart": np.array([True, True])}
    ended, _ = served(modes, [0.0, 0.5], 1, transfer=transfer, **stored)
    assert ended["first_token_s"].tolist() == [4.0, 7.0]
    ended, _ = served(modes, [0.0, 9.0], 1, transfer=transfer, **stored)
    assert ended["first_token_s"].tolist() == [4.0, 10.0]


def test_pools_without_a_store_ask_none() -> None:
    stored = {"stored_tokens": np.array([64]), "stored_apart": np.array([True])}
    ended, _ = served(Modes(connector=True), [0.0], 1, transfer=KvTransfer(3e9, 4e9, 0.25), **stored)
    assert ended["first_token_s"].tolist() == [1.0]
