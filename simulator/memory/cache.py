"""KV-cache groups as vLLM forms them: one block pool whose blocks any group may take (docs/model/memory.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.errors import InputError, Problem
from simulator.memory.rules import Rules
from simulator.memory.shape import CacheKind, LayerCache, ModelShape
from simulator.memory.weights import stage_of_layer
from simulator.perf.device import Split

STATE_ALIGNMENT = 16
"""Tokens to which vLLM rounds the block of attention beside a state; kernels take multiples of it."""
LATENT_ALIGNMENT = 64
"""The same where attention keeps one latent per token."""


@dataclass(frozen=True, slots=True)
class Page:
    """Block of one layer: its tokens and bytes.

    Attributes
    ----------
    kind, reach : as in `LayerCache`
    tokens : in a block
    bytes : of a block, padding included
    size : bytes of one token, or of one state
    """

    kind: CacheKind
    reach: int
    tokens: int
    bytes: int
    size: int


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that share one block table.

    Attributes
    ----------
    page : block of one of its layers
    members : caches of the model in it, by number
    member_bytes : block of each of its layers
    """

    page: Page
    members: tuple[int, ...]
    member_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """Groups, and the bytes that one block takes on each pipeline stage."""

    groups: tuple[Group, ...]
    stage_block_bytes: tuple[int, ...]

    @property
    def block_tokens(self) -> int:
        """Tokens of the shortest block of a group."""
        return min((group.page.tokens for group in self.groups), default=1)


def pages(shape: ModelShape, split: Split, kv_bytes: float, block_size: int) -> list[Page]:
    """Block of every cache of the model on one GPU.

    Beside a state, attention's blocks are lengthened until they hold one, and states are padded to them.
    """
    tokens = block_size
    states = [_state_bytes(cache, split.tp, shape.dtype_bytes) for cache in shape.caches if cache.kind == "state"]
    attention = [
        _token_bytes(cache, split.tp, kv_bytes, shape.dtype_bytes) for cache in shape.caches if cache.kind != "state"
    ]
    if states and attention:
        step = LATENT_ALIGNMENT if shape.is_mla else STATE_ALIGNMENT
        tokens = max(tokens, step * math.ceil(max(states) / (step * max(attention))))
    return [_page(cache, split.tp, kv_bytes, shape, tokens, attention) for cache in shape.caches]


def _page(
    cache: LayerCache, tp: int, kv_bytes: float, shape: ModelShape, tokens: int, attention: Sequence[int]
) -> Page:
    if cache.kind == "state":
        size = _state_bytes(cache, tp, shape.dtype_bytes)
        return Page("state", 0, tokens, tokens * max(attention) if attention else size, size)
    size = _token_bytes(cache, tp, kv_bytes, shape.dtype_bytes)
    return Page(cache.kind, cache.reach, tokens, size * tokens, size)


def _token_bytes(cache: LayerCache, tp: int, kv_bytes: float, dtype_bytes: int) -> int:
    if cache.row_bytes:
        return cache.row_bytes
    value = kv_bytes or dtype_bytes
    if cache.kind == "latent":
        return round(cache.head_dim * value)
    return round(max(1, cache.heads // tp) * (cache.head_dim + cache.value_dim) * value)


def _state_bytes(cache: LayerCache, tp: int, dtype_bytes: int) -> int:
    return sum(part.values // (tp if part.cut else 1) * (part.value_bytes or dtype_bytes) for part in cache.state)


def pool(shape: ModelShape, split: Split, rules: Rules, kv_bytes: float, block_size: int) -> Pool:
    """KV-cache groups of the whole model and the bytes of a block on each stage.

    Raises
    ------
    InputError : layers whose blocks this version cannot bring to one size
    """
    found = pages(shape, split, kv_bytes, block_size)
    found = [_promoted(page, found, rules) for page in found]
    groups = _grouped(found, rules, shape)
    stages = tuple(
        max((_stage_bytes(group, shape, split.pp, stage) for group in groups), default=0) for stage in range(split.pp)
    )
    return Pool(tuple(groups), stages)


def _promoted(page: Page, all_pages: Sequence[Page], rules: Rules) -> Page:
    """Windows and chunks as full attention where the version has no groups for them."""
    mixed = any(other.kind in ("full", "latent") for other in all_pages)
    separate = rules.chunked_groups if page.kind == "chunk" else rules.hybrid_groups
    if page.kind in ("window", "chunk") and mixed and not separate:
        return replace(page, kind="full", reach=0)
    return page


def _grouped(found: Sequence[Page], rules: Rules, shape: ModelShape) -> list[Group]:
    if not found:
        return []
    if len({(_type(page), page.tokens, page.bytes) for page in found}) == 1 or (
        len({_type(page) for page in found}) == 1 and rules.uniform_types and found[0].kind != "state"
    ):
        members = tuple(range(len(found)))
        return [Group(found[0], members, tuple(page.bytes for page in found))]
    unified = _one_page_size(found, rules, shape)
    buckets: dict[tuple[CacheKind, int, int], list[int]] = {}
    for number, page in enumerate(unified):
        buckets.setdefault((page.kind, page.reach, page.tokens), []).append(number)
    fewest, most = min(map(len, buckets.values())), max(map(len, buckets.values()))
    size = most if most < fewest * rules.pad_share else fewest
    groups = []
    for bucket in buckets.values():
        count = math.ceil(len(bucket) / size)
        for start in range(count):
            part = tuple(bucket[start::count])
            page = unified[part[0]]
            groups.append(Group(page, part, (page.bytes,) * len(part)))
    return groups


def _type(page: Page) -> tuple[str, int]:
    kind = "full" if page.kind == "latent" else page.kind
    return kind, page.reach


def _one_page_size(found: Sequence[Page], rules: Rules, shape: ModelShape) -> list[Page]:
    """Blocks of one size: longer ones for layers with smaller tokens, padding for what does not divide."""
    largest = max(page.bytes for page in found)
    unified = []
    for page in found:
        if page.bytes == largest:
            unified.append(page)
        elif page.kind == "state":
            unified.append(replace(page, bytes=largest))
        elif largest % page.bytes == 0 and rules.unify_pages:
            unified.append(replace(page, bytes=largest, tokens=page.tokens * (largest // page.bytes)))
        elif rules.pad_pages and page.kind != "latent":
            unified.append(replace(page, bytes=largest))
        else:
            raise InputError(
                Problem(
                    f"vLLM {rules.version} cannot bring the KV blocks of {shape.name}'s layers to one size "
                    f"({page.bytes} and {largest} bytes): take a newer version or another tensor parallelism"
                )
            )
    return unified


def _stage_bytes(group: Group, shape: ModelShape, pp: int, stage: int) -> int:
    """Bytes that a block of the group takes on a stage: those of the group's layers that lie there."""
    return sum(
        size
        for member, size in zip(group.members, group.member_bytes, strict=True)
        if stage_of_layer(shape.layers, pp, shape.layer_of_cache[member]) == stage
    )


def request_blocks(group: Group, length: int, in_flight_tokens: int, rules: Rules, prefix_caching: bool) -> int:
    """Blocks of a group that one request of `length` tokens holds at most."""
    page = group.page
    if page.kind == "state":
        return 2 if prefix_caching and rules.state_prefix_cache else 1
    if page.kind == "window":
        return math.ceil(min(page.reach - 1 + in_flight_tokens, length) / page.tokens) + 1
    if page.kind == "chunk":
        return math.ceil(min(page.reach + in_flight_tokens, length) / page.tokens)
    return math.ceil(length / page.tokens)
