"""Memory of the modes that decide who is admitted, how far a chunk goes, and what comes from elsewhere.

They share one machine, which looks at every request in every plan: adapters, grammars, pictures, connectors, waves,
drafts that read ahead or have several KV cache groups, cache resets, and replays of recordings with what happened from
outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.spec import Modes

MOST_PICTURES = 62
"""Most pictures of a request: they are bits of a word."""

POOL = np.dtype(
    [
        ("connector", np.int64),
        ("stores", np.int64),  # looks for beginnings of prompts in a store
        ("takes_back_trimmed", np.int64),
        ("max_loras", np.int64),  # 0: no limit
        ("lora_counts_running", np.int64),
        ("encoder_budget", np.int64),  # 0: no pictures
        ("encoder_cache", np.int64),
        ("whole_items", np.int64),
        ("chunk_may_begin_with_part", np.int64),
        ("reads_ahead", np.int64),  # tokens of a prompt that several MTP modules read ahead
        ("stops_early", np.int64),  # of them, those by which a chunk stops earlier before a picture
        ("no_tokens_end", np.int64),
        ("ends_at_states", np.int64),
        ("ranks", np.int64),
        ("prefill_interval", np.int64),
        ("own_interval", np.int64),
        ("sync_interval", np.int64),
        ("lock_step", np.int64),  # replicas in a row that step together, of so many
        ("n_replicas", np.int64),
    ],
    align=True,
)

COMMON = np.dtype(
    [
        ("number", np.int64),  # of the step that ranks make together; 0: none
        ("alone_s", np.float64),  # what the plan would take if all ranks had its tokens
        ("tokens", np.int64),
    ],
    align=True,
)
"""A plan in flight of a rank, in the step that all ranks make together."""

REPLICA = np.dtype(
    [
        ("pause_s", np.float64),  # from an output to the next plan, in which a replay has what comes from outside
        ("arrived_s", np.float64),  # time of the last arrival, and how many there were then
        ("turns", np.int32),  # goes on with empty plans while something is on its way, as vLLM does
        ("sampling_waits", np.int32),  # the plan just made needs the tokens of the one before
        ("drops_output", np.int32),  # of those that are preempted now
        ("reset", np.int32),  # of its cache, once the output that it waits for is there: 1, or 2 with those who run
        ("resets_elsewhere", np.int32),  # what is kept elsewhere is forgotten with it
        ("requeues", np.int32),  # some request has waited among those without blocks although it holds some
        ("n_adapters", np.int32),
        ("n_arrived", np.int32),
        ("aligned", np.int64),  # number of the newest plan that was put into a common step, and of that step
        ("common", np.int64),
        ("encoder_free", np.int64),
        ("encoder_spare", np.int64),  # free, or of pictures that nobody uses
        ("encoder_left", np.int64),  # budget of this plan
        ("wanted", np.int64),  # pictures of the chunk at hand: bits of those to encode
        ("wanted_again", np.int64),  # named twice in it
        ("wanted_left", np.int64),
        ("picture_head", np.int32),  # in the cache, those that nobody uses in order of their idleness
        ("picture_tail", np.int32),
        ("n_pictures", np.int32),
        ("executed", np.int64),
        ("last_prefill", np.int64),
        ("first_admitted", np.int64),  # admission number of the first that this plan admits
        ("capacity_bound", np.int32),
        ("held", np.int32),  # prefills are held back in this plan
        ("n_deferred", np.int32),
    ],
    align=True,
)

SLOT = np.dtype(
    [
        ("grammar_s", np.float64),  # from arrival until its grammar is compiled; negative: it has none
        ("grammar_ready_s", np.float64),  # when it will be; 0: it waits for none
        ("load_s", np.float64),  # that its KV takes from a store
        ("loaded_s", np.float64),  # when it will be there
        ("send_s", np.float64),  # that its KV takes to another engine
        ("used", np.int64),  # bits of the pictures that it uses in the cache
        ("encoded", np.int64),  # of them, those that this plan encodes
        ("first_picture", np.int64),
        ("n_pictures", np.int32),
        ("adapter", np.int32),  # 0: none
        ("stored_tokens", np.int32),  # that a store has of its beginning
        ("stored_apart", np.int32),  # they load apart from the step
        ("remote", np.int32),  # its prompt's KV is still to be fetched from an engine outside the fleet
        ("seen", np.int32),  # it was admitted before
        ("loaded", np.int32),  # its KV was fetched and not lost since
        ("deferred", np.int32),
        ("dropped", np.int32),  # output that is on its way is dropped: the cache was reset
    ],
    align=True,
)

PICTURE = np.dtype([("offset", np.int32), ("tokens", np.int32), ("content", np.int64)], align=True)
"""One of a request's pictures."""

CACHED = np.dtype(
    [("content", np.int64), ("tokens", np.int32), ("users", np.int32), ("before", np.int32), ("after", np.int32)],
    align=True,
)
"""One picture in a replica's encoder cache."""


class NoRooms(NamedTuple):
    """Nobody is asked."""


class Rooms(NamedTuple):
    """Engines whose requests are looked at one by one. They have the arrays of groups and of plans in flight, too."""

    pools: NDArray[np.void]
    replicas: NDArray[np.void]
    slots: NDArray[np.void]
    pictures: NDArray[np.void]
    cached: NDArray[np.void]  # (replica, picture)
    adapters: NDArray[np.int32]  # (replica, adapter): in this plan
    common: NDArray[np.void]  # (replica, depth): plans in flight
    shared_s: NDArray[np.float64]  # (pool, tokens): `StepTime.shared_time_s`
    wave: NDArray[np.float64]  # steps of the wave of all ranks, and when the last one was made; -1: it has ended


def asks(modes: Modes) -> bool:
    """Whether an engine in these modes looks at every request in every plan."""
    drafts, groups = modes.drafts, modes.groups
    reads_ahead = drafts is not None and drafts.num_prefill_lookahead_tokens > 1
    return bool(
        modes.max_loras
        or modes.encoder
        or modes.waves
        or modes.grammars
        or modes.stores
        or offload_of(modes) is not None
        or reads_ahead
        or (groups and (drafts or modes.connector))
    )


def allocate_rooms(
    configs: Sequence[EngineConfig],
    shared_s: Sequence[NDArray[np.float64]],
    pool_of: Sequence[int],
    n_slots: int,
    anyhow: bool,
) -> NoRooms | Rooms:
    """Arrays for pools of these configurations; none if nobody is asked.

    Parameters
    ----------
    shared_s : of pools: `StepTime.shared_time_s`
    pool_of : by replica
    anyhow : what happens from outside is replayed
    """
    if not anyhow and not any(asks(config.modes) for config in configs):
        return NoRooms()
    pools = np.zeros(len(configs), POOL)
    pools["n_replicas"] = np.bincount(pool_of, minlength=len(configs))
    for row, config in zip(pools, configs, strict=True):
        _fill(row, config)
    cache = max(int(pools["encoder_cache"].max(initial=0)), 1)
    adapters = int(pools["max_loras"].max(initial=0)) + max(config.max_num_seqs for config in configs)
    rooms = Rooms(
        pools=pools,
        replicas=np.zeros(len(pool_of), REPLICA),
        slots=np.zeros(n_slots, SLOT),
        pictures=np.zeros(1, PICTURE),
        cached=np.zeros((len(pool_of), cache), CACHED),
        adapters=np.zeros((len(pool_of), adapters), np.int32),
        common=np.zeros((len(pool_of), max(c.modes.flight.depth if c.modes.flight else 1 for c in configs)), COMMON),
        shared_s=np.zeros((len(configs), max(len(times) for times in shared_s))),
        wave=np.array([0.0, -1.0]),
    )
    for row, times in zip(rooms.shared_s, shared_s, strict=True):
        row[: len(times)] = times
        row[len(times) :] = times[-1]
    for r, k in enumerate(pool_of):
        reset_rooms(rooms, r, k)
    return rooms


def _fill(row: np.void, config: EngineConfig) -> None:
    modes, rules = config.modes, config.rules
    row["connector"], row["takes_back_trimmed"] = modes.connector, rules.stop_takes_back_trimmed
    row["stores"] = modes.stores
    row["max_loras"], row["lora_counts_running"] = modes.max_loras, rules.lora_counts_running
    row["no_tokens_end"], row["ends_at_states"] = rules.no_tokens_end_waiting, modes.chunks_end_at_states
    ahead = modes.drafts.num_prefill_lookahead_tokens if modes.drafts else 0
    row["reads_ahead"], row["stops_early"] = ahead, ahead if rules.reads_ahead_of_pictures else 0
    if modes.encoder:
        row["encoder_budget"], row["encoder_cache"] = modes.encoder.budget_tokens, modes.encoder.cache_tokens
        row["whole_items"] = modes.encoder.whole_items
        row["chunk_may_begin_with_part"] = rules.chunk_may_begin_with_part
    row["prefill_interval"] = row["own_interval"] = row["sync_interval"] = row["lock_step"] = 1
    if modes.waves:
        row["ranks"] = modes.waves.ranks
        row["lock_step"] = modes.waves.ranks if modes.waves.lock_step else 1
        row["prefill_interval"], row["sync_interval"] = modes.waves.prefill_interval, modes.waves.sync_interval
        row["own_interval"] = modes.waves.prefill_interval if rules.prefill_interval_alone else 1


def reset_rooms(rooms: Any, r: int, pool: int) -> None:
    """Replica `r` is empty."""
    if isinstance(rooms, NoRooms):
        return
    row = rooms.replicas[r]
    for name in REPLICA.names or ():
        if name not in ("pause_s", "turns"):
            row[name] = 0
    row["encoder_free"] = row["encoder_spare"] = rooms.pools[pool]["encoder_cache"]
    row["picture_head"] = row["picture_tail"] = -1
    row["last_prefill"] = -rooms.pools[pool]["own_interval"]


def grow_rooms(rooms: Any, n_slots: int) -> Any:
    """Room for `n_slots` slots."""
    if isinstance(rooms, NoRooms):
        return rooms
    slots = np.zeros(n_slots, SLOT)
    slots[: len(rooms.slots)] = rooms.slots
    return rooms._replace(slots=slots)
