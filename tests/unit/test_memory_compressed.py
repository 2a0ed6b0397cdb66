"""DeepSeek V4: rows of compressed attention, windows and states of compressors, with blocks of several sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.errors import InputError
from simulator.memory.cache import request_blocks
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.units import BYTES_PER_GIB

V4_FLASH = Question(
    "deepseek-v4-flash",
    "gh200",
    tp=2,
    expert_parallel=True,
    max_num_batched_tokens=16384,
    block_size=256,
    version="0.22.0",
)


@pytest.mark.parametrize(("length", "needed_gib"), [(30000, 6.66), (13528, 5.44)])
def test_compressed_caches_need_what_vllm_says(length: int, needed_gib: float) -> None:
    """Its error names the memory that one request of 30,000 tokens needs, and the longest that 5.44 GiB hold."""
    plan = answer(replace(V4_FLASH, max_model_len=length)).plan
    needed = sum(request_blocks(group, length, 16384, prefix_caching=True) for group in plan.groups)
    assert needed * plan.terms.block_bytes / BYTES_PER_GIB == pytest.approx(needed_gib, abs=0.005)


@pytest.mark.parametrize(
    ("version", "gpu", "tp", "length", "kv_gib", "tokens"),
    [("0.22.1", "rtx-pro-6000", 8, 256_000, 37.93, 2_497_693), ("0.23.0", "h200", 2, 262_144, 32.08, 2_175_276)],
)
def test_tokens_of_compressed_caches_are_told_by_bytes(
    version: str, gpu: str, tp: int, length: int, kv_gib: float, tokens: int
) -> None:
    """Two published starts (eight RTX PRO 5000, two H200) with the KV cache that they name.

    The blocks of a group count by their own bytes, padded to those of rows, in blocks of the group of rows
    (`get_max_concurrency_for_kv_cache_config` of 0.22.0 and 0.25.0).
    """
    asked = Question(
        "deepseek-v4-flash",
        gpu,
        tp=tp,
        kv_dtype="fp8",
        block_size=256,
        max_model_len=length,
        max_num_batched_tokens=8192,
        version=version,
        kv_cache_memory_bytes=int(kv_gib * 2**30),
    )
    assert answer(asked).plan.kv_tokens == pytest.approx(tokens, rel=0.0003)


@pytest.mark.parametrize(
    ("version", "block_bytes"),
    [
        ("0.22.0", 22 * (37440 + 8640 + 1728)),
        ("0.23.0", 22 * 37440 + 21 * 8640 + 20 * 1728),
        ("0.26.0", 22 * 37440 + 21 * 8640 + 20 * 1728),
        ("0.27.0", 21 * 37440 + 21 * 8640 + 20 * 1728),
    ],
)
def test_compressed_caches_pack_otherwise_by_version(version: str, block_bytes: int) -> None:
    """A page of each size for each of 22 slots; from 0.23 on as many of a size as one group has of it
    (`_get_kv_cache_config_packed`, read in 0.25.0); from 0.27 on the widest group (`_get_packed_kv_cache_layout`)."""
    assert answer(replace(V4_FLASH, version=version, max_model_len=4096)).plan.terms.block_bytes == block_bytes
    with pytest.raises(InputError, match=r"0\.20\.0"):
        answer(replace(V4_FLASH, version="0.11.0"))
