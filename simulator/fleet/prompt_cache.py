"""What token APIs remember of prompts: how much of a prompt's beginning an earlier one had, within the cache's life.

A text that goes on after equal beginnings is a node of a hash table. Of each the lengths to which prompts went into it
are kept with the time of the last that went so far; a call refreshes all shorter ones, so what is kept is a staircase:
lengths grow with age. Memory is bounded by what is alive: `copy_alive` leaves the rest behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.content import ROOT, mix, run_hash
from simulator.engine.state import NONE, Engines
from simulator.fleet.state import CACHE_ROOM, MARK_FREE, N_MARKS, Fleet
from simulator.jit import kernel


@kernel
def remembered_tokens(fleet: Fleet, engines: Engines, index: int, k: int, now: float) -> int:
    """Prompt tokens that provider `k` has in its cache at `now`; from then on it has all that others can share."""
    slot = engines.slots[index]
    provider = fleet.providers[k]
    if provider.cache_life_s <= 0.0 or slot.isl < provider.cache_least_tokens:
        return 0
    chain: Any = mix(ROOT ^ np.int64(k + 1))
    oldest_s = now - provider.cache_life_s
    found: Any = 0
    before = 0
    hit = True
    for segment in range(slot.segment_start, slot.segment_start + slot.n_segments):
        tokens: Any = np.int64(engines.segment_tokens[segment])
        name = engines.segment_id[segment]
        alive = _touch(fleet, run_hash(chain, name, 0, 0), k, tokens, now, oldest_s)
        if hit:
            found = before + min(alive, tokens)
            hit = alive >= tokens
        before += tokens
        chain = run_hash(chain, name, 0, tokens)
    found -= found % provider.cache_step_tokens
    return found if found >= provider.cache_least_tokens else 0


@kernel
def written_tokens(fleet: Fleet, slot: Any, k: int) -> int:
    """Prompt tokens that a call has put into the cache of provider `k`, where that has a price of its own."""
    provider = fleet.providers[k]
    if provider.cache_writes == 0 or provider.cache_life_s <= 0.0:
        return 0
    kept = slot.listed_tokens - slot.listed_tokens % provider.cache_step_tokens
    return kept - slot.cached_tokens if kept >= provider.cache_least_tokens else 0


@kernel
def _find(nodes: Any, key: int, k: int) -> Any:
    """Where the node stands, or the empty entry where it belongs."""
    mask = len(nodes) - 1
    position: Any = (key ^ (key >> np.int64(32))) & mask
    while nodes[position].used != 0 and (nodes[position].key != key or nodes[position].provider != k):
        position = (position + 1) & mask
    return position


@kernel
def _take_mark(fleet: Fleet) -> Any:
    mark = fleet.scalars[MARK_FREE]
    if mark != NONE:
        fleet.scalars[MARK_FREE] = fleet.marks[mark].next
        return mark
    fleet.scalars[N_MARKS] += 1
    fleet.scalars[CACHE_ROOM] -= 1
    return fleet.scalars[N_MARKS] - 1


@kernel
def _free_mark(fleet: Fleet, mark: int) -> int:
    """Give a mark back; returns the one behind it."""
    following = fleet.marks[mark].next
    fleet.marks[mark].next = fleet.scalars[MARK_FREE]
    fleet.scalars[MARK_FREE] = mark
    return following


@kernel
def _touch(fleet: Fleet, key: int, k: int, tokens: int, now: float, oldest_s: float) -> int:
    """A prompt goes `tokens` tokens into a node's text; returns how far earlier ones went that are still remembered."""
    node = fleet.nodes[_find(fleet.nodes, key, k)]
    if node.used == 0:
        node.used = 1
        node.key = key
        node.provider = k
        node.first = NONE
        fleet.scalars[CACHE_ROOM] -= 1
    alive = 0
    last = NONE
    mark = node.first
    while mark != NONE and fleet.marks[mark].time_s >= oldest_s:
        alive = fleet.marks[mark].tokens
        last = mark
        mark = fleet.marks[mark].next
    if last == NONE:
        node.first = NONE
    else:
        fleet.marks[last].next = NONE
    while mark != NONE:
        mark = _free_mark(fleet, mark)
    while node.first != NONE and fleet.marks[node.first].tokens <= tokens:
        node.first = _free_mark(fleet, node.first)
    mark = _take_mark(fleet)
    fleet.marks[mark].tokens = tokens
    fleet.marks[mark].time_s = now
    fleet.marks[mark].next = node.first
    node.first = mark
    return alive


@kernel
def _oldest_s(fleet: Fleet, node: Any) -> float:
    provider = fleet.providers[node.provider]
    return provider.level_s - provider.cache_life_s


@kernel
def count_alive(fleet: Fleet) -> int:
    """Nodes and marks that a call may still find."""
    count = 0
    for position in range(len(fleet.nodes)):
        node = fleet.nodes[position]
        if node.used == 0:
            continue
        oldest_s = _oldest_s(fleet, node)
        mark = node.first
        count += 1 if mark != NONE and fleet.marks[mark].time_s >= oldest_s else 0
        while mark != NONE and fleet.marks[mark].time_s >= oldest_s:
            count += 1
            mark = fleet.marks[mark].next
    return count


@kernel
def copy_alive(fleet: Fleet, nodes: Any, marks: Any) -> int:
    """Put what a call may still find into empty `nodes` and `marks`; returns the number of marks."""
    n_marks = 0
    for position in range(len(fleet.nodes)):
        node = fleet.nodes[position]
        if node.used == 0:
            continue
        oldest_s = _oldest_s(fleet, node)
        mark = node.first
        if mark == NONE or fleet.marks[mark].time_s < oldest_s:
            continue
        copy = nodes[_find(nodes, node.key, node.provider)]
        copy.used = 1
        copy.key = node.key
        copy.provider = node.provider
        copy.first = n_marks
        while mark != NONE and fleet.marks[mark].time_s >= oldest_s:
            marks[n_marks].time_s = fleet.marks[mark].time_s
            marks[n_marks].tokens = fleet.marks[mark].tokens
            n_marks += 1
            marks[n_marks - 1].next = n_marks
            mark = fleet.marks[mark].next
        marks[n_marks - 1].next = NONE
    return n_marks
