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
from simulator.jit import entry, kernel


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
def _find(memory: Any, key: int, k: int) -> Any:
    """Where the node stands, or the empty entry where it belongs."""
    mask = len(memory) // 3 * 2 - 1
    position: Any = (key ^ (key >> np.int64(32))) & mask
    while memory[position].used != 0 and (memory[position].key != key or memory[position].provider != k):
        position = (position + 1) & mask
    return position


@kernel
def _take_mark(fleet: Fleet) -> Any:
    mark = fleet.scalars[MARK_FREE]
    if mark != NONE:
        fleet.scalars[MARK_FREE] = fleet.memory[mark].next
        return mark
    fleet.scalars[N_MARKS] += 1
    fleet.scalars[CACHE_ROOM] -= 1
    return len(fleet.memory) // 3 * 2 + fleet.scalars[N_MARKS] - 1


@kernel
def _free_mark(fleet: Fleet, mark: int) -> int:
    """Give a mark back; returns the one behind it."""
    following = fleet.memory[mark].next
    fleet.memory[mark].next = fleet.scalars[MARK_FREE]
    fleet.scalars[MARK_FREE] = mark
    return following


@kernel
def _touch(fleet: Fleet, key: int, k: int, tokens: int, now: float, oldest_s: float) -> int:
    """A prompt goes `tokens` tokens into a node's text; returns how far earlier ones went that are still remembered."""
    node = fleet.memory[_find(fleet.memory, key, k)]
    if node.used == 0:
        node.used = 1
        node.key = key
        node.provider = k
        node.next = NONE
        fleet.scalars[CACHE_ROOM] -= 1
    alive = 0
    last = NONE
    mark = node.next
    while mark != NONE and fleet.memory[mark].time_s >= oldest_s:
        alive = fleet.memory[mark].tokens
        last = mark
        mark = fleet.memory[mark].next
    if last == NONE:
        node.next = NONE
    else:
        fleet.memory[last].next = NONE
    while mark != NONE:
        mark = _free_mark(fleet, mark)
    while node.next != NONE and fleet.memory[node.next].tokens <= tokens:
        node.next = _free_mark(fleet, node.next)
    mark = _take_mark(fleet)
    fleet.memory[mark].tokens = tokens
    fleet.memory[mark].time_s = now
    fleet.memory[mark].next = node.next
    node.next = mark
    return alive


@kernel
def _oldest_s(fleet: Fleet, node: Any) -> float:
    provider = fleet.providers[node.provider]
    return provider.level_s - provider.cache_life_s


@entry
def count_alive(fleet: Fleet) -> int:
    """Nodes and marks that a call may still find."""
    count = 0
    for position in range(len(fleet.memory) // 3 * 2):
        node = fleet.memory[position]
        if node.used == 0:
            continue
        oldest_s = _oldest_s(fleet, node)
        mark = node.next
        count += 1 if mark != NONE and fleet.memory[mark].time_s >= oldest_s else 0
        while mark != NONE and fleet.memory[mark].time_s >= oldest_s:
            count += 1
            mark = fleet.memory[mark].next
    return count


@entry
def copy_alive(fleet: Fleet, memory: Any) -> int:
    """Put what a call may still find into an empty `memory`; returns the number of marks."""
    first = len(memory) // 3 * 2
    n_marks = 0
    for position in range(len(fleet.memory) // 3 * 2):
        node = fleet.memory[position]
        if node.used == 0:
            continue
        oldest_s = _oldest_s(fleet, node)
        mark = node.next
        if mark == NONE or fleet.memory[mark].time_s < oldest_s:
            continue
        copy = memory[_find(memory, node.key, node.provider)]
        copy.used = 1
        copy.key = node.key
        copy.provider = node.provider
        copy.next = first + n_marks
        while mark != NONE and fleet.memory[mark].time_s >= oldest_s:
            entry = memory[first + n_marks]
            entry.time_s = fleet.memory[mark].time_s
            entry.tokens = fleet.memory[mark].tokens
            n_marks += 1
            entry.next = first + n_marks
            mark = fleet.memory[mark].next
        memory[first + n_marks - 1].next = NONE
    return n_marks
