"""Memory of plans in flight: a ring of plans a replica, and what each request has on its way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.engine.modes import spec

REPLICA = np.dtype(
    [
        ("plan_s", np.float64),  # least time from one plan to the next
        ("last_output_s", np.float64),  # when the last output was applied
        ("last_end_s", np.float64),  # of the newest plan
        ("last_decode_step", np.int64),  # of the last applied plan of the decode lane
        ("last_given", np.int64),  # number of the newest plan with tokens
        ("plan_number", np.int64),
        ("depth", np.int32),  # plans made before the oldest output is waited for; 1: plain serving
        ("asynchronous", np.int32),
        ("eligible_after", np.int32),
        ("keeps_lanes", np.int32),  # whether the decode lane may be kept lazily
        ("stages", np.int32),
        ("first", np.int32),  # oldest plan in the ring
        ("fenced", np.int32),  # a connector: blocks that a plan in flight uses are not given back
        ("waits", np.int32),  # the next event applies the oldest output
        ("has_finished", np.int32),  # a request has ended since the last plan
        ("passed", np.int32),  # waiting requests that were passed over, by `wait_next`
        ("fence_head", np.int32),  # kept blocks of ended requests that plans in flight use, by `run_next`
        ("fence_tail", np.int32),
    ],
    align=True,
)

PLAN = np.dtype(
    [
        ("start_s", np.float64),
        ("end_s", np.float64),
        ("busy_s", np.float64),  # of it, while no plan before it is still computed
        ("number", np.int64),
        ("decode_step", np.int64),  # of the decode lane, when it was made
        ("used_blocks", np.int64),
        ("n_decode", np.int32),  # members of the decode lane that it has, besides its entries
        ("n_entries", np.int32),
        ("n_seqs", np.int32),
        ("is_empty", np.int32),  # nothing was scheduled, nobody preempted
    ],
    align=True,
)

ENTRY = np.dtype(
    [
        ("request", np.int64),  # guards against a slot that was used again
        ("slot", np.int32),
        ("tokens", np.int32),
        ("yields", np.int32),  # tokens that it brings at most: one and one for each draft, none before the prompt's end
        ("drafts", np.int32),  # drafts that it verifies; negative: placeholders, as `slot.drafts`
        ("last", np.int32),  # with that token the request has all it asked for
        ("lands", np.int32),  # the token is counted with those of the decode lane
    ],
    align=True,
)

ALOFT = np.dtype(
    [
        ("landing", np.int64),  # number of the plan that brings its last token
        ("eligible", np.int64),  # number of the first plan that may have it again
        ("in_flight", np.int32),  # tokens planned whose output has not come; kept up only outside the lanes
        ("placeholders", np.int32),  # of them, tokens that count as generated already; the same
        ("stale", np.int32),  # tokens on their way when it was preempted
        ("was_laned", np.int32),  # 1: in the decode lane, 2: its last token on its way, when the lanes were left
    ],
    align=True,
)


class NoFlight(NamedTuple):
    """Each output is applied before the next plan is made."""


class Flight(NamedTuple):
    """Plans in flight. Replicas of depth 1 among them serve as plain ones do."""

    replicas: NDArray[np.void]
    plans: NDArray[np.void]  # (replica, depth)
    entries: NDArray[np.void]  # (replica, depth, request)
    classes: NDArray[np.int32]  # (replica, depth, class): members of the decode lane by class
    stage_free_s: NDArray[np.float64]  # (replica, stage): when it has computed all plans so far
    aloft: NDArray[np.void]  # by slot


def allocate_flight(
    flights: list[spec.Flight | None],
    plan_s: list[float],
    drafts: list[bool],
    connectors: list[bool],
    seqs: int,
    n_classes: int,
    n_slots: int,
) -> NoFlight | Flight:
    """Arrays for replicas of the given modes, one entry a replica; none if all of them are plain.

    Parameters
    ----------
    drafts : whether a replica verifies drafts, which are as many as they are: then no lane can be kept
    connectors : whether a replica sends KV blocks or receives them
    """
    if not any(flights):
        return NoFlight()
    n, depth = len(flights), max(flight.depth for flight in flights if flight)
    replicas = np.zeros(n, REPLICA)
    for row, flight, least_s, drafting, connected in zip(replicas, flights, plan_s, drafts, connectors, strict=True):
        row["depth"] = row["stages"] = 1
        row["plan_s"] = least_s
        if flight is not None:
            row["depth"], row["asynchronous"], row["stages"] = flight.depth, flight.asynchronous, flight.stages
            row["eligible_after"] = flight.eligible_after
            laned = flight.asynchronous and flight.depth == 2 and flight.eligible_after < 2
            row["keeps_lanes"] = laned and not drafting
            row["fenced"] = connected and flight.depth > 1
    return Flight(
        replicas=replicas,
        plans=np.zeros((n, depth), PLAN),
        entries=np.zeros((n, depth, seqs), ENTRY),
        classes=np.zeros((n, depth, n_classes), np.int32),
        stage_free_s=np.zeros((n, max(flight.stages for flight in flights if flight)), np.float64),
        aloft=np.zeros(n_slots, ALOFT),
    )


def reset_flight(flight: Any, r: int) -> None:
    """Nothing of replica `r` is in flight."""
    if isinstance(flight, NoFlight):
        return
    row = flight.replicas[r]
    for name in ("last_output_s", "last_end_s", "first", "waits", "has_finished"):
        row[name] = 0
    for name in ("last_decode_step", "passed", "fence_head", "fence_tail"):
        row[name] = -1
    flight.stage_free_s[r] = 0.0
    flight.plans["end_s"][r] = 0.0


def grow_flight(flight: Any, n_slots: int) -> Any:
    """Room for `n_slots` slots."""
    if isinstance(flight, NoFlight):
        return flight
    aloft = np.zeros(n_slots, ALOFT)
    aloft[: len(flight.aloft)] = flight.aloft
    return flight._replace(aloft=aloft)


def busy_until_s(flight: Any, step_end_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Until when replicas compute what they have planned, by the ends of their present steps."""
    if isinstance(flight, NoFlight):
        return step_end_s
    return np.where(flight.replicas["depth"] > 1, flight.replicas["last_end_s"], step_end_s)
