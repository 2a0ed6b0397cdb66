"""Timers (a binary heap) and the tournament tree over the replicas' next events."""

from __future__ import annotations

from typing import Any

from simulator.engine.state import Engines
from simulator.fleet.state import N_TIMERS, TIMER_NUMBER, Fleet
from simulator.jit import entry, kernel


@kernel
def _earlier(a: Any, b: Any) -> bool:
    return a.time_s < b.time_s or (a.time_s == b.time_s and a.number < b.number)


@kernel
def _copy(source: Any, target: Any) -> None:
    target.time_s = source.time_s
    target.number = source.number
    target.request = source.request
    target.slot = source.slot
    target.kind = source.kind


@kernel
def _swap(heap: Any, i: int, j: int) -> None:
    a = heap[i]
    b = heap[j]
    time_s, number, request, slot, kind = a.time_s, a.number, a.request, a.slot, a.kind
    _copy(b, a)
    b.time_s = time_s
    b.number = number
    b.request = request
    b.slot = slot
    b.kind = kind


@entry
def set_timer(fleet: Fleet, time_s: float, kind: int, slot: int, request: int) -> None:
    """Add a timer; `advance` has made sure that there is room."""
    heap = fleet.timers
    position = fleet.scalars[N_TIMERS]
    fleet.scalars[N_TIMERS] += 1
    fleet.scalars[TIMER_NUMBER] += 1
    entry = heap[position]
    entry.time_s = time_s
    entry.number = fleet.scalars[TIMER_NUMBER]
    entry.request = request
    entry.slot = slot
    entry.kind = kind
    while position > 0:
        above = (position - 1) // 2
        if not _earlier(heap[position], heap[above]):
            break
        _swap(heap, position, above)
        position = above


@kernel
def drop_first_timer(fleet: Fleet) -> None:
    heap = fleet.timers
    fleet.scalars[N_TIMERS] -= 1
    n = fleet.scalars[N_TIMERS]
    if n == 0:
        return
    _copy(heap[n], heap[0])
    position = 0
    while True:
        child = 2 * position + 1
        if child >= n:
            return
        if child + 1 < n and _earlier(heap[child + 1], heap[child]):
            child += 1
        if not _earlier(heap[child], heap[position]):
            return
        _swap(heap, position, child)
        position = child


@entry
def update_winner(fleet: Fleet, engines: Engines, r: int) -> None:
    """Replay the matches of replica `r` after its next event has moved."""
    replicas = engines.replicas
    tree = fleet.winners
    leaves = len(tree) // 2
    node = (leaves + r) // 2
    while node >= 1:
        left = tree[2 * node]
        right = tree[2 * node + 1]
        if right < 0 or (left >= 0 and replicas[left].step_end_s <= replicas[right].step_end_s):
            tree[node] = left
        else:
            tree[node] = right
        node //= 2
