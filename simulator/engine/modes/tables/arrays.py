"""Memory of KV cache groups: kinds of layers by pool, and block tables by group of what a replica's requests hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.pages import untouched

NO_CAP = 1 << 40
NULL = 0
"""The null block."""
MOST_PHASES = 6

POOL = np.dtype(
    [
        ("n_groups", np.int64),  # 0: one table, plain serving
        ("n_kinds", np.int64),
        ("growing", np.int64),  # groups that a block may be appended to while a request decodes
        ("tracks", np.int64),  # which blocks a request holds matters (prefix cache), not only how many
        ("agree", np.int64),  # hits of several groups have to agree
        ("alignment", np.int64),  # tokens at whose multiples a request can go on: all groups' blocks end there
        ("shortest", np.int64),  # a kind whose blocks hold one content
        ("registers_all", np.int64),  # every full block is findable in some kind with a limit
        ("linear", np.int64),  # kind of linear attention with the prefix cache, else -1
        ("chunk_tokens", np.int64),  # most tokens of a chunk, 0 where chunks need not end at states
        ("state_written_once", np.int64),
        ("saves_amid_chunk", np.int64),  # kernels save the state where a prompt can be resumed amid its last chunk
        ("gives_up", np.int64),  # contents of the longest block that a drafter needs computed again after a hit
        ("some_lag", np.int64),  # blocks of some kinds are registered at another time than others'
        ("junction_kept_one_lower", np.int64),
        ("keeps_lanes", np.int64),  # whether the decode lane may be kept lazily
        ("lag", np.int64),  # tokens of a decoding request on their way when it is planned
        ("n_phases", np.int64),  # computed tokens, modulo the block, at which a decoding request's blocks change
        ("phases", np.int64, MOST_PHASES),
    ],
    align=True,
)

KIND = np.dtype(
    [
        ("kind", np.int64),
        ("block_size", np.int64),
        ("shift", np.int64),  # its logarithm to base 2, -1 where that is no whole number
        ("hashes", np.int64),  # of contents that a block has; the last of them covers all before
        ("window", np.int64),
        ("cap", np.int64),  # most blocks that a request holds at once
        ("more", np.int64),  # blocks beyond those of its tokens: states for drafts
        ("n_groups", np.int64),
        ("tail", np.int64),  # blocks that a window reads before the place where a request resumes
        ("gives_up", np.int64),  # its drafter gives up the last block of a hit
        ("lags", np.int64),  # its blocks are registered at another time than others'
        ("marks_end", np.int64),  # a block in which a prompt ends counts as one with content
        ("saves", np.int64),  # its kernel saves a state amid a chunk, in a block of its own
        ("grows", np.int64),  # whether a request's blocks of it grow with its tokens
        ("most_fetched", np.int64),  # most blocks of a request that come from another engine
    ],
    align=True,
)

ROW = np.dtype(
    [
        ("processed", np.int64),  # tokens that were computed and confirmed when it was last given blocks
        ("plan", np.int64),  # the plan in which that was, where plans are in flight
        ("planned", np.int64),  # its tokens in that plan
        ("junction", np.int64),
        ("n_chained", np.int64),  # leading blocks whose chain hash `slot.chain` stands for
        ("began", np.int64),  # it holds a running state, and one for each draft
        ("saved_tokens", np.int64),  # before the state that is saved amid the chunk planned last, 0: there is none
        ("saved_place", np.int64),  # of that state in the tables
    ],
    align=True,
)

HELD = np.dtype(
    [
        ("begin", np.int32),
        ("end", np.int32),
        ("registered", np.int64),  # contents whose blocks are registered, of a kind that lags
        ("chain", np.int64),  # chain hash of those
    ],
    align=True,
)

N_WRITTEN, JUNCTION = range(2)
"""Entries of `Groups.scalars`."""


class OneTable(NamedTuple):
    """Every layer reads all tokens before: one table a request."""


class Groups(NamedTuple):
    """Several groups draw blocks from one pool. Pools of one group among them serve as plain ones do.

    Engines with groups have the arrays of plans in flight too, at a depth of 1 if each output is awaited. All that a
    request holds is found by its row; groups of one kind hold the same places of different blocks.
    """

    pools: NDArray[np.void]
    kinds: NDArray[np.void]  # (pool, kind)
    kind_of: NDArray[np.int32]  # (pool, group)
    rows: NDArray[np.void]
    held: NDArray[np.void]  # (row, kind): places [begin, end) of the tables, those before are the null block
    tables: NDArray[np.int32]  # (row, group, blocks of the longest request); 0 is the null block
    hits: NDArray[np.int32]  # (group, block)
    found: NDArray[np.int64]  # (kind,) first place of a hit that is no null block
    lengths: NDArray[np.int64]  # (kind,) blocks of the hit; beside what another engine brings kinds may have fewer
    chains: NDArray[np.int64]  # by block of the request that looks for its prefix
    written: NDArray[np.int64]  # chain hashes of states that are written in this step
    cursors: NDArray[np.int32]  # places in lists of the decode lane
    irregular: NDArray[np.int32]  # (replica,): the next step has to look at every request
    scalars: NDArray[np.int64]


def refuses(config: EngineConfig) -> str:
    """Why the compiled engine does not have these groups; empty if it does."""
    groups = config.modes.groups
    if not groups:
        return ""
    linear = [group for group in groups if group.kind == GroupKind.LINEAR]
    sizes = {group.block_size for group in groups if group.kind != GroupKind.LINEAR or group.aligned}
    if config.enable_prefix_caching and any(not group.aligned for group in linear):
        return "prefix caching over blocks of several lengths"
    others = linear or any(group.kind == GroupKind.CHUNK for group in groups)
    if config.enable_prefix_caching and len(sizes) > 1 and others:
        return "prefix caching over blocks of several lengths, beside states or local chunks"
    full = {group.block_size for group in groups if group.kind == GroupKind.FULL}
    if config.enable_prefix_caching and len(full) > 1:
        return "prefix caching over full attention with blocks of several lengths"
    if any(group.aligned for group in linear) and not config.enable_prefix_caching:
        return "states for the prefix cache without it"
    if any(size % min(sizes) for size in sizes):
        return "blocks of several lengths that are no multiples of each other"
    return ""


def block_tokens(config: EngineConfig) -> int:
    """Tokens of the shortest block that grows with a request; with the prefix cache those that one content has."""
    groups = config.modes.groups
    if not groups:
        return config.block_size
    if config.names_blocks:
        return math.gcd(*(group.block_size for group in groups))
    growing = [group.block_size for group in groups if group.kind != GroupKind.LINEAR]
    return min(growing or [config.block_size])


def gives_up(config: EngineConfig, spec: KvGroup) -> bool:
    """Whether layers of this kind give up the last block of a hit: those of the drafter, or all if none are said."""
    groups = config.modes.groups
    named = [group for group in groups if group.has_draft_layers]
    ours = any(replace(group, has_draft_layers=False) == spec for group in named)
    return config.drop_last_hit_block and (ours or not named)


def kinds_of(groups: Sequence[KvGroup]) -> list[KvGroup]:
    """One group of each kind, full attention first: in this order their hits are made to agree."""
    found = list(dict.fromkeys(replace(group, has_draft_layers=False) for group in groups))
    return sorted(found, key=lambda kind: kind.kind != GroupKind.FULL)


def allocate_groups(
    configs: Sequence[EngineConfig], n_replicas: int, n_rows: int, most_seqs: int, anyhow: bool = False
) -> OneTable | Groups:
    """Arrays for pools of these configurations; none if all of them have one group of full attention.

    Parameters
    ----------
    anyhow : beside rooms, which are compiled with groups alone
    """
    if not anyhow and not any(config.modes.groups for config in configs):
        return OneTable()
    n_groups = max(1, *(len(config.modes.groups) for config in configs))
    n_kinds = max(1, *(len(kinds_of(config.modes.groups)) for config in configs))
    pools = np.zeros(len(configs), POOL)
    kinds = np.zeros((len(configs), n_kinds), KIND)
    kind_of = np.zeros((len(configs), n_groups), np.int32)
    for k, config in enumerate(configs):
        if config.modes.groups:
            _fill(pools[k], kinds[k], kind_of[k], config)
    return Groups(
        pools=pools,
        kinds=kinds,
        kind_of=kind_of,
        rows=np.zeros(n_rows, ROW),
        held=np.zeros((n_rows, n_kinds), HELD),
        tables=np.empty((n_rows, n_groups, 1), np.int32),
        hits=np.zeros((n_groups, 1), np.int32),
        found=np.zeros(n_kinds, np.int64),
        lengths=np.zeros(n_kinds, np.int64),
        chains=np.zeros(1, np.int64),
        written=np.zeros(8 * most_seqs + 8, np.int64),
        cursors=np.zeros(MOST_PHASES, np.int32),
        irregular=np.zeros(n_replicas, np.int32),
        scalars=np.zeros(2, np.int64),
    )


def _fill(pool: np.void, kinds: NDArray[np.void], kind_of: NDArray[np.int32], config: EngineConfig) -> None:
    reason = refuses(config)
    if reason:
        raise ValueError(reason)
    modes, size = config.modes, block_tokens(config)
    ahead = reads_ahead_tokens(config)
    specs = kinds_of(modes.groups)
    alignment = math.lcm(*(spec.block_size for spec in specs)) if config.enable_prefix_caching else size
    uneven_blocks = alignment != size
    for g, group in enumerate(modes.groups):
        kind_of[g] = specs.index(replace(group, has_draft_layers=False))
    for row, spec in zip(kinds, specs, strict=False):
        row["kind"], row["block_size"], row["window"] = spec.kind, spec.block_size, spec.window_tokens
        row["shift"] = spec.block_size.bit_length() - 1 if spec.block_size.bit_count() == 1 else -1
        row["hashes"] = max(spec.block_size // size, 1)
        if spec.kind == GroupKind.LINEAR and not spec.aligned:
            row["kind"] = GroupKind.FULL
        row["cap"], row["more"] = most_blocks(config, spec), spec.draft_states
        row["saves"] = spec.saves_amid_chunk
        row["gives_up"], row["grows"] = gives_up(config, spec), spec.kind != GroupKind.LINEAR
        row["lags"] = row["gives_up"] and len(modes.groups) > 1 and (ahead > 0 or uneven_blocks)
        if spec.kind == GroupKind.FULL and row["hashes"] > 1:
            row["marks_end"] = bool(row["gives_up"]) or config.hash_lookahead_tokens > 0
        row["most_fetched"] = 1 if spec.kind == GroupKind.LINEAR else NO_CAP
        if spec.kind == GroupKind.WINDOW:
            row["tail"] = -(-(spec.window_tokens - 1) // spec.block_size)
            row["window"] += ahead
            row["most_fetched"] = -(-spec.window_tokens // spec.block_size) + 1
        row["n_groups"] = int((kind_of[: len(modes.groups)] == specs.index(spec)).sum())
    aligned = [spec.aligned for spec in specs]
    pool["n_groups"], pool["n_kinds"] = len(modes.groups), len(specs)
    pool["growing"] = sum(group.kind != GroupKind.LINEAR or group.aligned for group in modes.groups)
    pool["tracks"] = config.names_blocks
    pool["agree"] = len(modes.groups) > 1
    pool["alignment"] = alignment
    pool["shortest"] = next((k for k, row in enumerate(kinds[: len(specs)]) if row["hashes"] == 1), 0)
    pool["registers_all"] = any(spec.kind == GroupKind.CHUNK for spec in specs)
    pool["linear"] = aligned.index(True) if any(aligned) else -1
    pool["state_written_once"] = config.rules.state_written_once
    pool["saves_amid_chunk"] = all(spec.saves_amid_chunk for spec in specs if spec.kind == GroupKind.LINEAR)
    if config.drop_last_hit_block:
        pool["gives_up"] = max(row["hashes"] for row in kinds[: len(specs)])
    pool["some_lag"] = any(row["lags"] for row in kinds[: len(specs)])
    pool["junction_kept_one_lower"] = config.rules.junction_kept_one_lower
    if modes.chunks_end_at_states:
        most = modes.max_num_scheduled_tokens or config.max_num_batched_tokens
        cap = config.long_prefill_token_threshold
        pool["chunk_tokens"] = min(most, cap) if cap else most
    lag = 1 if modes.flight is not None and modes.flight.depth > 1 else 0
    freed = {spec.window_tokens - 1 for spec in specs if spec.kind == GroupKind.WINDOW}
    freed |= {1} if any(aligned) else set()
    freed |= {0} if any(spec.kind == GroupKind.CHUNK for spec in specs) else set()
    filled = {-1 + lag} if config.enable_prefix_caching else set()
    phases = {phase % size for phase in {0} | filled | {tokens + lag for tokens in freed}}
    pool["lag"] = lag
    found = sorted(phases)[:MOST_PHASES]
    pool["n_phases"] = len(found)
    pool["phases"][: len(found)] = found
    uneven = any(spec.kind == GroupKind.CHUNK and spec.window_tokens % size for spec in specs)
    pool["keeps_lanes"] = not uneven and len(found) == len(phases)


def held_back_tokens(config: EngineConfig) -> int:
    """Last tokens of a prompt that its prefill side leaves to the other (vLLM `_prefill_backoff`).

    Those that several MTP modules may compute again; with a state, which has to be that before the last token, one.
    """
    has_state = any(group.kind == GroupKind.LINEAR for group in config.modes.groups)
    return max(reads_ahead_tokens(config), int(has_state))


def reads_ahead_tokens(config: EngineConfig) -> int:
    """Tokens that several MTP modules may compute again."""
    drafts = config.modes.drafts
    return max(0, drafts.num_prefill_lookahead_tokens - 1) if drafts else 0


def most_blocks(config: EngineConfig, spec: KvGroup) -> int:
    """Most blocks of a group that a request holds at once, `NO_CAP` if that is all of them."""
    in_flight_tokens = config.modes.max_in_flight_tokens or config.max_num_batched_tokens
    depth = config.modes.flight.depth if config.modes.flight else 1
    size, window, longest = spec.block_size, spec.window_tokens, config.max_model_len
    match spec.kind:
        case GroupKind.WINDOW:
            return -(-min(window - 1 + reads_ahead_tokens(config) + in_flight_tokens, longest) // size) + 1
        case GroupKind.CHUNK:
            return -(-min(window + in_flight_tokens, longest) // size)
        case GroupKind.LINEAR:
            return 1 + spec.draft_states + (depth if spec.aligned else 0) + spec.saves_amid_chunk
        case _:
            return NO_CAP


def request_blocks(config: EngineConfig, tokens: int) -> int:
    """Blocks of all groups that a request of `tokens` tokens may hold at once."""
    groups = config.modes.groups
    return sum(min(-(-tokens // group.block_size) + group.draft_states, most_blocks(config, group)) for group in groups)


def reset_groups(groups: Any, r: int) -> None:
    """Replica `r` is empty."""
    if not isinstance(groups, OneTable):
        groups.irregular[r] = 0


def widen_groups(groups: Any, width: int, rows: NDArray[np.int32]) -> Any:
    """Tables of `width` blocks; `rows` are in use, those beyond the first ones by pools of one table."""
    if isinstance(groups, OneTable):
        return groups
    old = groups.tables
    rows = rows[rows < len(old)]
    tables = untouched(*old.shape[:2], width)
    tables[rows, :, : old.shape[2]] = old[rows]
    hits = np.zeros((old.shape[1], width), np.int32)
    return groups._replace(tables=tables, hits=hits, chains=np.zeros(width, np.int64))


def grow_group_rows(groups: Any, n_rows: int, used: NDArray[np.int32], moved: NDArray[np.int32], shift: int) -> Any:
    """Room for `n_rows` rows; of those `used`, the rows `moved` were `shift` lower before."""
    if isinstance(groups, OneTable):
        return groups
    n = len(groups.rows)
    used = used[used < n]
    rows, held = np.zeros(n_rows, ROW), np.zeros((n_rows, groups.held.shape[1]), HELD)
    tables = untouched(n_rows, *groups.tables.shape[1:])
    for new, old in ((rows, groups.rows), (held, groups.held), (tables, groups.tables)):
        new[used] = old[used]
        new[moved] = old[moved - shift]
    return groups._replace(rows=rows, held=held, tables=tables)
