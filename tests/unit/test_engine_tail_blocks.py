"""Blocks of 8 tokens with contents of 4 each: the one that a prompt ends in, by hand."""

from __future__ import annotations

import pytest

from simulator.engine.modes.spec import GroupKind, KvGroup
from simulator.engine.reference.blocks import BlockPool
from simulator.engine.reference.groups import CacheLimits, FullGroup
from simulator.engine.reference.request import Request
from simulator.engine.rules import V0_32


def group() -> FullGroup:
    limits = CacheLimits(8, 4, 64, 100, 0, 0, False, True, V0_32)
    return FullGroup(3, KvGroup(GroupKind.FULL, 8), BlockPool(10), limits)


@pytest.mark.parametrize(
    ("isl", "known", "tokens", "tail"),
    [
        # the last content that is known before the last token: 12 of 14 tokens, the first half of the second block
        (14, 3, 12, 102),
        (14, 4, 14, 102),
        (14, 4, 11, None),
        (14, 4, 8, None),
        (14, 2, 14, None),
        (13, 3, 13, 102),
        # 11 of 12: two contents, which end with the first block
        (12, 3, 12, None),
        (5, 1, 4, 100),
        (5, 1, 3, None),
        (4, 1, 4, None),
    ],
)
def test_a_block_that_a_prompt_ends_in_has_its_last_content_once_that_is_computed(
    isl: int, known: int, tokens: int, tail: int | None
) -> None:
    found, request = group(), Request(0, 0.0, isl=isl, osl=9)
    request.block_hashes = [100 + k for k in range(known)]
    found.extend(request, isl, isl)
    found.cache(request, tokens)
    whole = min(tokens // 8, known // 2)
    said = [block.block_hash for block in found.held[request]]
    assert said[:whole] == [(3, 101 + 2 * k) for k in range(whole)]
    assert said[whole:] == [None if tail is None else (3, tail), None][: len(said) - whole]


def test_a_block_that_is_full_has_the_content_of_its_end() -> None:
    found, request = group(), Request(0, 0.0, isl=14, osl=9)
    request.block_hashes = [100, 101, 102]
    found.extend(request, 16, 16)
    found.cache(request, 14)
    assert found.held[request][1].block_hash == (3, 102)
    request.block_hashes.append(103)
    found.cache(request, 16)
    assert found.held[request][1].block_hash == (3, 103)
    assert found.pool.get_cached_block((3, 102)) is None
