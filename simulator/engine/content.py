"""Chain hashes of prompt content: two blocks have equal hashes when all tokens up to their end are equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.state import Engines
from simulator.jit import kernel, shared_kernel

ROOT = np.int64(0x51_7C_C1_B7_27_22_0A_95)
NO_HASH, PRIVATE = 0, 1
"""Hashes that are none: of a block that is not full, and of a full one that no other request can share."""
_SEGMENT = np.int64(-7046029254386353131)  # odd constants of splitmix64 and xxHash, as signed 64-bit
_OFFSET = np.int64(-4417276706812531889)
_LENGTH = np.int64(1609587929392839161)
_MIX_1 = np.int64(-4658895280553007687)
_MIX_2 = np.int64(-7723592293110705685)
_LOW_33, _LOW_34, _LOW_37 = np.int64((1 << 33) - 1), np.int64((1 << 34) - 1), np.int64((1 << 37) - 1)
_PRIVATE_SALT = np.int64(0x3A_8B_4D_19_66_E5_70_2F)


@shared_kernel
def mix(value: Any) -> Any:
    """Finaliser of splitmix64 on the bits of signed 64-bit integers: a bijection that spreads every bit.

    The shifts are logical, as the masks make them: copies of the sign would cost the top bit.
    """
    value = (value ^ ((value >> np.int64(30)) & _LOW_34)) * _MIX_1
    value = (value ^ ((value >> np.int64(27)) & _LOW_37)) * _MIX_2
    return value ^ ((value >> np.int64(31)) & _LOW_33)


@kernel
def run_hash(chain: Any, segment: Any, offset: int, length: int) -> Any:
    """Hash of a content that ends with `length` tokens of a segment from `offset` on, after what `chain` stands for."""
    return mix(chain ^ (segment * _SEGMENT + np.int64(offset) * _OFFSET + np.int64(length) * _LENGTH))


@kernel
def private_segment(request: int) -> Any:
    """Segment id of what only this request contains; it meets a listed id with probability 2^-64."""
    return mix(np.int64(request) ^ _PRIVATE_SALT)


@kernel
def continues(slot: Any) -> bool:
    """Whether the output goes on with the prompt's last listed segment, so that all of the content can be shared."""
    return slot.output_continues != 0 and slot.n_segments > 0 and slot.listed_tokens == slot.isl


@kernel
def extend_chain(engines: Engines, pool: Any, slot: Any, first_block: int, n_blocks: int, out: Any) -> Any:
    """Chain hashes of blocks `first_block .. first_block + n_blocks - 1`, into `out` from 0; returns the last.

    The chain before `first_block` is `slot.chain` (`ROOT` before the first block). Content is cut into runs of one
    segment; the prompt's last segment goes on into the output when `output_continues`. Where hashes cover tokens beyond
    their block, all of them do, so that each run begins as much later.
    """
    chain = slot.chain if first_block > 0 else ROOT
    ahead = pool.hash_lookahead
    position = first_block * pool.block_size + ahead if first_block > 0 else 0
    listed = slot.listed_tokens
    shared = continues(slot)
    index = slot.segment_start
    last = slot.segment_start + slot.n_segments - 1
    before = 0  # tokens of the segments before `index`
    private = private_segment(slot.request)
    for block in range(n_blocks):
        end = (first_block + block + 1) * pool.block_size + ahead
        while position < end:
            if position >= listed and not shared:
                chain = run_hash(chain, private, position, end - position)
                position = end
                continue
            while index < last and position >= before + engines.segment_tokens[index]:
                before += engines.segment_tokens[index]
                index += 1
            stop = end
            if index < last or not shared:
                stop = min(end, before + engines.segment_tokens[index])
            chain = run_hash(chain, engines.segment_id[index], position - before, stop - position)
            position = stop
        if chain in (NO_HASH, PRIVATE):
            chain = np.int64(2)
        out[block] = chain
    return chain
