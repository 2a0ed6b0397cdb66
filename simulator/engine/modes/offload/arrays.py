"""Memory of the blocks that are kept in the memory of the CPU: chunks there, copies on their way, requests known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.spec import NO_LIMIT, Offload, offload_of
from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.modes.tables.arrays import block_tokens, reads_ahead_tokens

NONE = -1
PENDING = -1
"""Users of a chunk whose store is not done."""
FREE, ONCE, AGAIN, GONE_ONCE, GONE_AGAIN = range(5)
"""Lists of chunks, each in order of eviction: unused places, chunks that are there (LRU has the first alone), and those
that were given up."""
SEEN, INSERTED, REUSED, MISSED = 1, 2, 4, 8
"""What a request has met of a chunk since the memory was last emptied, as bits."""
ORDERED, WAITS, BEGUN, DONE = range(1, 5)
"""Where a copy is: asked for with the plan at hand, begins with the next call, is under way, is reported."""
LOAD_CALLS, STORE_CALLS, MOST_LOADED, MOST_STORED, ASKED = range(5)
"""Of a request in a replay: calls of the model that its copies take, most tokens that may be copied (-1: no limit)."""

POOL = np.dtype(
    [
        ("capacity", np.int64),  # chunks; negative: the pool has no such memory
        ("adaptive", np.int64),
        ("at_once", np.int64),  # all that a request meets counts as used when it met the first of it
        ("threshold", np.int64),
        ("tracked", np.int64),
        ("prompt_only", np.int64),
        ("offers_again", np.int64),
        ("stores_whole", np.int64),
        ("caches", np.int64),  # the GPU's own prefix cache is on
        ("n_groups", np.int64),
        ("some_limited", np.int64),
        ("some_aligned", np.int64),
        ("alignment", np.int64),  # tokens of a chunk of full attention; 0: they differ
    ],
    align=True,
)

CHUNKS = np.dtype(
    [
        ("block_size", np.int64),
        ("blocks", np.int64),  # copied together
        ("tokens", np.int64),
        ("hashes", np.int64),  # contents of a chunk
        ("limited", np.int64),  # its layers stop reading tokens
        ("aligned", np.int64),  # its layers keep states
        ("drafts", np.int64),  # its layers are a drafter's
        ("is_window", np.int64),
        ("reads", np.int64),  # tokens that a window reads before the present one
        ("window", np.int64),  # most chunks that are needed to go on
        ("order", np.int64),  # n-th group that is asked
    ],
    align=True,
)

REPLICA = np.dtype(
    [
        ("is_ready", np.int64),  # its memory has been laid out
        ("generation", np.int64),
        ("plan", np.int64),  # blocks that are taken in this plan bear its number
        ("uses", np.int64),
        ("mark", np.int64),  # of a call that offers chunks: those that it does not give up
        ("call", np.int64),
        ("loaded_tokens", np.int64),  # so far, since the beginning of the run
        ("target", np.float64),  # share of chunks used once
        ("load_free_s", np.float64),  # when the link carries nothing more to the GPU, and from it
        ("store_free_s", np.float64),
        ("waits_s", np.float64),  # the plan at hand is computed no earlier
        ("n_offers", np.int64),
        ("offer_head", np.int32),
        ("offer_tail", np.int32),
        ("known_head", np.int32),
        ("job_head", np.int32),
        ("job_tail", np.int32),
        ("free_job", np.int32),
        ("load_head", np.int32),  # loads that begin with the plan at hand
        ("load_tail", np.int32),
        ("left_head", np.int32),  # those that have left since the last plan, in order of their numbers
        ("n_jobs", np.int32),  # copies that are waited for
        ("n_kept", np.int32),  # states that became findable since the last plan
        ("n_void", np.int32),  # stores that are done with the next call and count for nothing
    ],
    align=True,
)

LIST = np.dtype([("head", np.int32), ("tail", np.int32), ("n", np.int32)], align=True)

CHUNK = np.dtype(
    [
        ("key", np.int64),
        ("use", np.int64),  # by which LRU orders: use, then from the end of a sequence, then by group
        ("end", np.int64),
        ("mark", np.int64),
        ("users", np.int32),
        ("list", np.int32),
        ("before", np.int32),
        ("after", np.int32),
        ("same", np.int32),  # next in its bucket
        ("loading", np.int32),
        ("next_of_job", np.int32),
        ("group", np.int32),  # while it is stored: where its blocks stand in its request's tables
        ("index", np.int32),
    ],
    align=True,
)

OFFER = np.dtype(
    [("key", np.int64), ("count", np.int64), ("before", np.int32), ("after", np.int32), ("same", np.int32)], align=True
)

JOB = np.dtype(
    [
        ("due", np.float64),  # when it ends; in a replay the call with whose output it is reported
        ("row", np.int32),
        ("state", np.int32),
        ("flushed", np.int32),  # the plan at hand waits for it
        ("place", np.int32),  # in the ring, of the plan with whose output it is reported
        ("chunk", np.int32),  # first of its chunks
        ("block", np.int32),  # a state that it copies; 0: the blocks of its chunks
        ("before", np.int32),
        ("after", np.int32),
    ],
    align=True,
)

ROW = np.dtype(
    [
        ("request", np.int64),
        ("generation", np.int64),  # of the memory, when `met` was begun
        ("use", np.int64),
        ("most_loaded", np.int64),  # tokens, NONE without a limit
        ("most_stored", np.int64),
        ("due", np.float64),  # of its load
        ("slot", np.int32),  # NONE once it has left
        ("kept", np.int32),  # slot that keeps blocks which a load fills although its request has left
        ("isl", np.int32),
        ("junction", np.int32),
        ("known", np.int32),  # tokens, once it has left
        ("finished", np.int32),  # it has not left before its end
        ("computed", np.int32),
        ("local", np.int32),  # hit on the GPU when it was asked last
        ("n_chained", np.int32),
        ("n_jobs", np.int32),  # copies that are waited for
        ("load_blocks", np.int32),
        ("load", np.int32),  # state of its load, 0 without one
        ("place", np.int32),
        ("void", np.int32),  # its load counts for nothing: the memory was emptied
        ("left", np.int32),
        ("ended", np.int32),  # its last blocks were offered
        ("before", np.int32),
        ("after", np.int32),
        ("next_left", np.int32),
        ("next_load", np.int32),
    ],
    align=True,
)

TABLE = np.dtype(
    [
        ("n_blocks", np.int32),  # as they were given out
        ("n_before", np.int32),  # before this plan
        ("n_stored", np.int32),  # leading chunks that were offered or loaded
        ("first_loaded", np.int32),
        ("end_loaded", np.int32),
    ],
    align=True,
)

KEPT = np.dtype(
    [
        ("request", np.int64),
        ("preemptions", np.int32),
        ("group", np.int32),
        ("place", np.int32),
        ("block", np.int32),
    ],
    align=True,
)
"""A state that became findable."""


class NoOffload(NamedTuple):
    """Nothing is kept in the memory of the CPU."""


class OffloadArrays(NamedTuple):
    """Engines that keep blocks in the memory of the CPU. They have the arrays of rooms, too."""

    pools: NDArray[np.void]
    groups: NDArray[np.void]  # (pool, group)
    replicas: NDArray[np.void]
    lists: NDArray[np.void]  # (replica, list)
    chunks: NDArray[np.void]  # (replica, chunk)
    buckets: NDArray[np.int32]  # (replica, hash)
    offers: NDArray[np.void]  # (replica, offer)
    offer_buckets: NDArray[np.int32]
    jobs: NDArray[np.void]  # (replica, copy to the CPU)
    taken: NDArray[np.int64]  # by block: the last plan in which somebody took it
    row_of: NDArray[np.int32]  # by slot
    rows: NDArray[np.void]
    free_rows: NDArray[np.int32]  # stack
    scalars: NDArray[np.int64]  # rows that are free
    tables: NDArray[np.void]  # (row, group)
    blocks: NDArray[np.int32]  # (row, group, block)
    met: NDArray[np.uint8]  # (row, group, chunk)
    contents: NDArray[np.int64]  # (row, content): chain hashes
    offered: NDArray[np.int32]  # (n, 2): group and index of chunks that are offered
    ends: NDArray[np.int32]  # by group
    kept: NDArray[np.void]  # (replica, state) since the last plan
    asked: NDArray[np.int64]  # (request, `ASKED`)
    most: NDArray[np.int64]  # (pool, class, 2): most tokens of a request that are loaded, stored; -1: no limit


def refuses_offload(config: EngineConfig) -> str:
    """Why the compiled engine does not keep blocks of this one in the memory of the CPU; empty if it does."""
    if offload_of(config.modes) is None:
        return ""
    groups = config.modes.groups
    if any(group.kind == GroupKind.LINEAR and not group.aligned for group in groups):
        return "offloading of states to the memory of the CPU without the prefix cache"
    return ""


def allocate_offload(
    configs: Sequence[EngineConfig], pool_of: Sequence[int], n_slots: int, n_blocks: int
) -> NoOffload | OffloadArrays:
    """Arrays for pools of these configurations; none if no pool keeps blocks elsewhere.

    Parameters
    ----------
    pool_of : by replica
    n_blocks : of all replicas
    """
    memories = [offload_of(config.modes) for config in configs]
    asked = [memory for memory in memories if memory is not None]
    if not asked:
        return NoOffload()
    n_replicas, n_groups = len(pool_of), max(1, *(len(config.modes.groups) for config in configs))
    pools, groups = np.zeros(len(configs), POOL), np.zeros((len(configs), n_groups), CHUNKS)
    for k, (config, memory) in enumerate(zip(configs, memories, strict=True)):
        pools[k]["capacity"] = NONE
        if memory is not None:
            _fill(pools[k], groups[k], config, memory)
    n_classes = max(len(memory.most_by_class) for memory in asked)
    free = ((NO_LIMIT, NO_LIMIT),) * n_classes
    limits = [memory.most_by_class or free if memory else free for memory in memories]
    most = max(memory.chunks for memory in asked)
    most_seqs = max(config.max_num_seqs for config in configs)
    entries = max((3 if memory.adaptive else 1) * memory.chunks for memory in asked) + 1
    tracked = max((memory.tracked for memory in asked if memory.store_threshold > 1), default=0)
    offload = OffloadArrays(
        pools=pools,
        groups=groups,
        replicas=np.zeros(n_replicas, REPLICA),
        lists=np.zeros((n_replicas, GONE_AGAIN + 1), LIST),
        chunks=np.zeros((n_replicas, entries), CHUNK),
        buckets=np.zeros((n_replicas, _buckets(entries)), np.int32),
        offers=np.zeros((n_replicas, tracked + 1), OFFER),
        offer_buckets=np.full((n_replicas, _buckets(tracked + 1)), NONE, np.int32),
        jobs=np.zeros((n_replicas, most + 1), JOB),
        taken=np.zeros(n_blocks, np.int64),
        row_of=np.full(n_slots, NONE, np.int32),
        rows=np.zeros(n_slots, ROW),
        free_rows=np.arange(n_slots - 1, -1, -1, dtype=np.int32),
        scalars=np.array([n_slots]),
        tables=np.zeros((n_slots, n_groups), TABLE),
        blocks=np.zeros((n_slots, n_groups, 1), np.int32),
        met=np.zeros((n_slots, n_groups, 1), np.uint8),
        contents=np.zeros((n_slots, 1), np.int64),
        offered=np.zeros((n_groups, 2), np.int32),
        ends=np.zeros(n_groups, np.int32),
        kept=np.zeros((n_replicas, 16 * most_seqs + 16), KEPT),
        asked=np.zeros((0, ASKED), np.int64),
        most=np.array(limits, np.int64).reshape(len(configs), n_classes, 2),
    )
    offload.replicas["plan"] = 1
    offload.replicas["offer_head"] = offload.replicas["offer_tail"] = NONE
    for r in range(n_replicas):
        offload.replicas[r]["known_head"] = NONE
        reset_offload(offload, r)
    return offload


def _buckets(entries: int) -> int:
    return 1 << int(2 * entries - 1).bit_length()


def _fill(pool: np.void, groups: NDArray[np.void], config: EngineConfig, memory: Offload) -> None:
    reason = refuses_offload(config)
    if reason:
        raise ValueError(reason)
    rules = config.rules
    values = {
        "capacity": memory.chunks,
        "adaptive": memory.adaptive,
        "at_once": rules.chunks_used_at_once,
        "threshold": memory.store_threshold,
        "tracked": memory.tracked,
        "prompt_only": memory.prompt_only,
        "offers_again": rules.chunks_offered_again,
        "stores_whole": rules.chunks_stored_whole,
        "caches": config.enable_prefix_caching,
    }
    for name, value in values.items():
        pool[name] = value
    specs = config.modes.groups or (KvGroup(GroupKind.FULL, config.block_size),)
    ahead = reads_ahead_tokens(config)
    for row, spec in zip(groups, specs, strict=False):
        tokens = spec.block_size * memory.blocks_per_chunk
        row["block_size"], row["blocks"], row["tokens"] = spec.block_size, memory.blocks_per_chunk, tokens
        row["hashes"] = tokens // block_tokens(config)
        row["limited"], row["aligned"] = spec.kind != GroupKind.FULL, spec.aligned
        row["drafts"], row["is_window"] = spec.has_draft_layers, spec.kind == GroupKind.WINDOW
        row["reads"] = spec.window_tokens - 1 + ahead
        row["window"] = 1 if spec.aligned else -(-spec.window_tokens // tokens)
        if spec.kind == GroupKind.WINDOW:
            row["window"] = max(row["window"], -(-row["reads"] // tokens))
    ours = groups[: len(specs)]
    pool["n_groups"], pool["some_limited"] = len(specs), bool(ours["limited"].any())
    pool["some_aligned"] = bool(ours["aligned"].any())
    full, limited = np.flatnonzero(ours["limited"] == 0), np.flatnonzero(ours["limited"])
    asked = [*full.tolist(), *sorted(limited.tolist(), key=lambda g: -int(ours["window"][g]))]
    ours["order"] = asked
    sizes = set(ours["tokens"][full].tolist()) or {int(ours["tokens"].max())}
    pool["alignment"] = sizes.pop() if len(sizes) == 1 else 0


def reset_offload(offload: Any, r: int) -> None:
    """Replica `r` is empty, and so is its memory of the CPU; counts of offers stay."""
    if isinstance(offload, NoOffload):
        return
    head = offload.replicas[r]
    row = int(head["known_head"])
    while row != NONE:
        if offload.rows[row]["slot"] != NONE:
            offload.row_of[offload.rows[row]["slot"]] = NONE
        offload.free_rows[offload.scalars[0]] = row
        offload.scalars[0] += 1
        row = int(offload.rows[row]["after"])
    for name in ("known_head", "job_head", "job_tail", "left_head", "load_head"):
        head[name] = NONE
    for name in ("n_jobs", "n_kept", "n_void", "free_job", "load_free_s", "store_free_s", "waits_s"):
        head[name] = 0
    jobs = offload.jobs[r]
    jobs["after"] = np.arange(1, len(jobs) + 1)
    jobs["after"][-1] = NONE
    head["is_ready"] = 0


def loaded_tokens(offload: Any, n_replicas: int) -> NDArray[np.int64]:
    """Tokens that each replica's requests have had from the memory of the CPU so far."""
    found = np.zeros(n_replicas, np.int64) if isinstance(offload, NoOffload) else offload.replicas["loaded_tokens"]
    return np.asarray(found)


def grow_known(offload: Any, n_slots: int) -> Any:
    """Room for `n_slots` slots, and as many more rows."""
    if isinstance(offload, NoOffload):
        return offload
    more = n_slots - len(offload.row_of)
    n_rows, n_free = len(offload.rows), int(offload.scalars[0])
    free = np.zeros(n_rows + more, np.int32)
    free[:more] = np.arange(n_rows + more - 1, n_rows - 1, -1)
    free[more : more + n_free] = offload.free_rows[:n_free]
    offload.scalars[0] += more
    longer = {
        name: np.concatenate([old := getattr(offload, name), np.zeros((more, *old.shape[1:]), old.dtype)])
        for name in ("rows", "tables", "blocks", "met", "contents")
    }
    row_of = np.concatenate([offload.row_of, np.full(more, NONE, np.int32)])
    return offload._replace(free_rows=free, row_of=row_of, **longer)


def widen_known(offload: Any, width: int) -> Any:
    """Tables of `width` blocks."""
    if isinstance(offload, NoOffload):
        return offload
    wider = {}
    for name in ("blocks", "met", "contents"):
        old = getattr(offload, name)
        wider[name] = np.zeros((*old.shape[:-1], width), old.dtype)
        wider[name][..., : old.shape[-1]] = old
    return offload._replace(offered=np.zeros((offload.tables.shape[1] * width, 2), np.int32), **wider)


def with_copies(offload: Any, asked: NDArray[np.int64]) -> Any:
    """The same, for the requests of a replay: a row of `ASKED` each."""
    return offload if isinstance(offload, NoOffload) else offload._replace(asked=asked)
