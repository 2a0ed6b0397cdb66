"""KV-cache groups as vLLM forms them: one block pool whose blocks any group may take (docs/model/memory.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from simulator.errors import InputError, Problem
from simulator.memory.kv_format import KvFormat
from simulator.memory.rules import Rules
from simulator.memory.shape import CacheKind, LayerCache, ModelShape
from simulator.memory.weights import stage_of_layer, stage_sizes
from simulator.perf.device import Split

STATE_ALIGNMENT = 16
"""Tokens to which vLLM rounds the block of attention beside a state; kernels take multiples of it."""


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


def pages(
    shape: ModelShape, split: Split, rules: Rules, kv: KvFormat, block_size: int, drafts: int, saved_at: int = 1
) -> list[Page]:
    """Block of every cache of the model on one GPU.

    Beside a state, attention's blocks are lengthened until they hold one, in steps that the kernels and the block size
    asked for allow, and states are padded to them (`_align_hybrid_block_size`, vLLM 0.33.0).

    Parameters
    ----------
    drafts : of a request and step
    saved_at : tokens at whose multiples a kernel can save a state amid a prefill
    """
    sizes = [
        _state_bytes(cache, split.tp, rules, shape.dtype_bytes, drafts)
        if cache.kind == "state"
        else kv.token_bytes(shape, cache, layer, split.tp)
        for cache, layer in zip(shape.caches, shape.layer_of_cache, strict=True)
    ]
    state = max((size for size, cache in zip(sizes, shape.caches, strict=True) if cache.kind == "state"), default=0)
    token = max((size for size, cache in zip(sizes, shape.caches, strict=True) if _grows(cache)), default=0)
    tokens = block_size = kv.block_size(shape, block_size, STATE_ALIGNMENT)
    if state and token:
        pooled = [cache for cache in shape.caches if not cache.block_tokens and cache.kind != "ring"]
        step = max(rules.latent_alignment if shape.is_mla else STATE_ALIGNMENT, block_size)
        step = math.lcm(step, saved_at, *(cache.pooled_rows * cache.tokens_per_row for cache in pooled))
        tokens = step * math.ceil(state / (step * token))
    further = int(shape.model_type in rules.longer_windows)
    found = [_page(cache, size, tokens, token, further) for cache, size in zip(shape.caches, sizes, strict=True)]
    return [
        _ring(cache, drafts) if cache.kind == "ring" else page for cache, page in zip(shape.caches, found, strict=True)
    ]


def _grows(cache: LayerCache) -> bool:
    """Whether each token has a row of its own."""
    return cache.kind not in ("state", "ring") and (cache.tokens_per_row == 1 or cache.block_tokens > 0)


def _ring(cache: LayerCache, drafts: int) -> Page:
    """Block of a ring: the tokens of a row times a power of two that holds a step's drafts too (`Glm5NextTailCache`,
    vLLM 0.32.0)."""
    each = cache.tokens_per_row
    tokens = each * 2 ** math.ceil(math.log2(math.ceil((each + drafts) / each)))
    return Page("ring", 0, tokens, tokens * cache.row_bytes, cache.row_bytes)


def _page(cache: LayerCache, size: int, tokens: int, token: int, further: int) -> Page:
    if cache.kind == "state":
        return Page("state", 0, tokens, tokens * token or size, size)
    if cache.tokens_per_row > 1 and not cache.block_tokens:
        return Page(cache.kind, 0, tokens, tokens // cache.tokens_per_row * cache.row_bytes, cache.row_bytes)
    if cache.block_tokens:
        rows = cache.block_tokens // cache.tokens_per_row
        padded = math.ceil(rows * cache.row_bytes / cache.alignment) * cache.alignment
        return Page(cache.kind, cache.reach, cache.block_tokens, padded, cache.row_bytes)
    reach = cache.reach + further if cache.kind == "window" else cache.reach
    return Page(cache.kind, reach, tokens, size * tokens, size)


def _state_bytes(cache: LayerCache, tp: int, rules: Rules, dtype_bytes: int, drafts: int) -> int:
    """Bytes of a layer's state; a convolution reads again what it read for drafts that were refused."""
    total = 0
    for part in cache.state:
        copied = tp - part.groups if part.groups % tp else 0
        values = (part.values + copied * part.group_values) // (tp if part.cut else 1)
        if part.tail is not None:
            values *= part.tail + (0 if cache.scan in rules.tails_without_drafts else drafts)
        total += values * (part.value_bytes or dtype_bytes)
    return total


def pool(
    shape: ModelShape, split: Split, rules: Rules, kv: KvFormat, block_size: int, drafts: int = 0, saved_at: int = 1
) -> Pool:
    """KV-cache groups of the whole model and the bytes of a block on each stage.

    Parameters
    ----------
    kv : how keys and values are stored
    drafts : of a request and step
    saved_at : tokens at whose multiples a kernel can save a state amid a prefill

    Raises
    ------
    InputError : layers whose blocks this version cannot bring to one size
    """
    if not rules.cross_attention and any(cache.kind == "cross" for cache in shape.caches):
        told = f"vLLM's V1 engine does not serve {shape.name}, which reads what it encoded, before 0.11.0"
        raise InputError(Problem(told, got=f"version={rules.version}"))
    found = pages(shape, split, rules, kv, block_size, drafts, saved_at)
    if any(cache.block_tokens or cache.kind == "ring" for cache in shape.caches):
        groups, repeats = _packed(found, rules, shape)
        if rules.packing in ("patterns", "slots"):
            sizes = {page.bytes for page in found if page.kind == "latent"}
            groups = [_padded(group, sizes) for group in groups]
            layers = [size / shape.layers for size in stage_sizes(shape.layers, split.pp)]
            if rules.packing == "patterns":
                return Pool(tuple(groups), tuple(math.ceil(repeats * share) * sum(sizes) for share in layers))
            most = {size: max(group.member_bytes.count(size) for group in groups) for size in sizes}
            slots = tuple(sum(size * math.ceil(count * share) for size, count in most.items()) for share in layers)
            return Pool(tuple(groups), slots)
    else:
        groups = _grouped([_promoted(page, found, rules) for page in found], rules, shape)
    stages = tuple(
        max((_stage_bytes(group, shape, split.pp, stage) for group in groups), default=0) for stage in range(split.pp)
    )
    return Pool(tuple(groups), stages)


def _padded(group: Group, sizes: Collection[int]) -> Group:
    """A group with its layers' blocks padded to the next of the sizes that rows have (`kv_cache_utils.py`, vLLM 0.20 to
    0.26)."""
    padded = tuple(min((size for size in sizes if size >= own), default=own) for own in group.member_bytes)
    return replace(group, member_bytes=padded)


def reported_blocks(groups: Sequence[Group], needed: Callable[[Group], int], rules: Rules) -> int:
    """Blocks of a request by which its concurrency is told: all of its groups', or, where blocks of several sizes are
    padded to those of rows, their bytes in blocks of the group of rows (`get_max_concurrency_for_kv_cache_config`)."""
    rows = next((group for group in groups if group.page.kind == "latent" and len(set(group.member_bytes)) > 1), None)
    if rows is None or rules.packing not in ("patterns", "slots"):
        return sum(needed(group) for group in groups)
    return math.ceil(sum(needed(group) * sum(group.member_bytes) for group in groups) / sum(rows.member_bytes))


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


def _packed(found: Sequence[Page], rules: Rules, shape: ModelShape) -> tuple[list[Group], int]:
    """Groups of layers with blocks of several sizes, which lie side by side in one block of the pool, and how often a
    pattern of layers repeats in one.

    Layers of one type whose sizes come equally often are a pattern that repeats; the pattern of several sizes that
    repeats most says how often the others repeat in a group, so that the least is padded. What is no such pattern
    stays whole. States and rings are split until they do not widen a block. A block holds the widest group, before 0.27
    a page of every size of rows for each repetition. Source: `_get_packed_kv_cache_groups`, vLLM 0.33.0, and start-up
    errors of 0.22.

    Raises
    ------
    InputError : a version that does not know such layers
    """
    rings = any(page.kind == "ring" for page in found)
    if rules.packing == "none" or (rings and rules.packing != "rings"):
        told = f"vLLM does not know {shape.name} before {'0.30.0' if rings else '0.20.0'}"
        raise InputError(Problem(told, got=f"version={rules.version}"))
    buckets: dict[tuple[tuple[str, int], int], dict[int, list[int]]] = {}
    for number, page in enumerate(found):
        buckets.setdefault((_type(page), page.tokens), {}).setdefault(page.bytes, []).append(number)
    balanced = [sizes for sizes in buckets.values() if len({len(members) for members in sizes.values()}) == 1]
    repeats = [len(next(iter(sizes.values()))) for sizes in balanced]
    least = max((count for count, sizes in zip(repeats, balanced, strict=True) if len(sizes) > 1), default=0)
    each = min(range(least, max(repeats) + 1), key=lambda n: (sum(-count % n for count in repeats), -n)) if least else 0
    counts = [
        math.ceil(max(map(len, sizes.values())) / each) if each and sizes in balanced else 1
        for sizes in buckets.values()
    ]
    states = [kind in ("state", "ring") for (kind, _), _ in buckets]
    widest = max(
        sum(math.ceil(len(members) / (len(members) if alone else count)) * size for size, members in sizes.items())
        for sizes, count, alone in zip(buckets.values(), counts, states, strict=True)
    )
    groups = []
    for sizes, least_groups, alone in zip(buckets.values(), counts, states, strict=True):
        size, members = next(iter(sizes.items()))
        count = max(least_groups, math.ceil(len(members) / max(widest // size, 1))) if alone else least_groups
        for start in range(count):
            part = tuple(number for each_size in sizes.values() for number in each_size[start::count])
            groups.append(Group(found[part[0]], part, tuple(found[number].bytes for number in part)))
    return groups, each or max(repeats)


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


def request_blocks(
    group: Group,
    length: int,
    in_flight_tokens: int,
    prefix_caching: bool,
    more_states: int = 0,
    encoded_tokens: int = 0,
) -> int:
    """Blocks of a group that one request of `length` tokens holds at most.

    Parameters
    ----------
    encoded_tokens : of a step's encoders at most, for all of which a request has room
        (`CrossAttentionSpec.max_memory_usage_bytes`, vLLM 0.31.0)
    more_states : kept for the drafts of a step, one each, and one that is saved amid a prefill
        (`MambaSpec.max_memory_usage_bytes`, vLLM 0.32.0)
    """
    page = group.page
    if page.kind == "ring":
        return 1
    if page.kind == "cross":
        return math.ceil(encoded_tokens / page.tokens)
    if page.kind == "state":
        return more_states + (2 if prefix_caching else 1)
    if page.kind == "window":
        return math.ceil(min(page.reach - 1 + in_flight_tokens, length) / page.tokens) + 1
    if page.kind == "chunk":
        return math.ceil(min(page.reach + in_flight_tokens, length) / page.tokens)
    return math.ceil(length / page.tokens)
