"""KV cache groups of an engine: those of the memory plan, as the scheduler's block tables have them."""

from __future__ import annotations

from dataclasses import replace

from simulator.engine.config import EngineConfig
from simulator.engine.modes.drafts.methods import READS_HIDDEN_STATES
from simulator.engine.modes.spec import GroupKind, KvGroup, Modes
from simulator.engine.modes.tables.arrays import refuses
from simulator.errors import InputError, Problem
from simulator.memory.cache import Group
from simulator.memory.planner import Plan

KINDS = {
    "full": GroupKind.FULL,
    "latent": GroupKind.FULL,
    "window": GroupKind.WINDOW,
    "chunk": GroupKind.CHUNK,
    "state": GroupKind.LINEAR,
    "ring": GroupKind.LINEAR,
}
"""The scheduler's kinds of KV cache groups by the memory plan's."""
WORDS = {
    GroupKind.FULL: "full attention",
    GroupKind.WINDOW: "sliding window",
    GroupKind.CHUNK: "local chunks",
    GroupKind.LINEAR: "state",
}


def kv_groups(
    plan: Plan, prefix_caching: bool, method: str | None = None, draft_states: int = 0
) -> tuple[KvGroup, ...]:
    """Groups of a plan; empty where one table of all tokens does.

    A state without prefix caching is one block for all of a request, and so is a ring. With it kernels may save one
    amid a chunk: where the plan has the block for it. The last layer of a plan with `mtp` is the drafter's, which tells
    the group that gives up a hit block; of other drafters vLLM knows no group, so that all do
    (`_annotate_eagle_groups`, vLLM 0.32.0).

    Parameters
    ----------
    method : of speculative decoding
    draft_states : states kept for drafts, one each

    Raises
    ------
    InputError : layers that read what an encoder made
    """
    if any(group.page.kind == "cross" for group in plan.groups):
        raise InputError(Problem("a decoder that reads what an encoder made is planned, and not simulated yet"))
    if len(plan.groups) == 1 and plan.groups[0].page.kind in ("full", "latent"):
        return ()
    found = [_group(group, plan, prefix_caching, draft_states) for group in plan.groups]
    if method == "mtp":
        drafts = max(range(len(found)), key=lambda k: max(plan.groups[k].members))
        found[drafts] = replace(found[drafts], has_draft_layers=True)
    return tuple(found)


def _group(group: Group, plan: Plan, prefix_caching: bool, draft_states: int) -> KvGroup:
    page = group.page
    if page.kind == "ring":
        return KvGroup(GroupKind.LINEAR, plan.max_model_len)
    if page.kind != "state":
        return KvGroup(KINDS[page.kind], page.tokens, page.reach)
    if not prefix_caching:
        return KvGroup(GroupKind.LINEAR, plan.max_model_len, draft_states=draft_states)
    saves = plan.saves_states
    return KvGroup(GroupKind.LINEAR, page.tokens, aligned=True, draft_states=draft_states, saves_amid_chunk=saves)


def shortest_block(groups: tuple[KvGroup, ...], otherwise: int) -> int:
    """Tokens of the shortest block that grows with a request."""
    return min(
        (group.block_size for group in groups if group.kind != GroupKind.LINEAR or group.aligned), default=otherwise
    )


def not_simulated(groups: tuple[KvGroup, ...], prefix_caching: bool, method: str | None) -> str:
    """Why these groups are simulated with one block table; empty if they are not.

    Parameters
    ----------
    method : of speculative decoding
    """
    reads = method in READS_HIDDEN_STATES
    modes = Modes(groups=groups)
    probe = EngineConfig(num_blocks=2, enable_prefix_caching=prefix_caching, drop_last_hit_block=reads, modes=modes)
    reason = refuses(replace(probe, block_size=shortest_block(groups, probe.block_size)))
    return f"{reason}: not simulated, though vLLM has it" if reason else ""


def told(groups: tuple[KvGroup, ...]) -> list[dict[str, object]]:
    """Groups for the results, equal ones counted."""
    found: list[dict[str, object]] = []
    for kind in dict.fromkeys(groups):
        row: dict[str, object] = {
            "kind": WORDS[kind.kind],
            "groups": groups.count(kind),
            "block_tokens": kind.block_size,
        }
        found.append(row | ({"reach_tokens": kind.window_tokens} if kind.window_tokens else {}))
    return found


def in_words(groups: tuple[KvGroup, ...]) -> str:
    """Groups for the reader, equal ones together: as `5 × sliding window of 1,024 tokens, full attention`."""
    parts = []
    for kind in dict.fromkeys(groups):
        many = groups.count(kind)
        reach = f" of {kind.window_tokens:,} tokens" if kind.window_tokens else ""
        parts.append((f"{many} × " if many > 1 else "") + WORDS[kind.kind] + reach)
    return ", ".join(parts)
