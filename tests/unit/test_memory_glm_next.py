"""GLM-5.3 Flash: states, latents, rows for a pool of keys and the pool that is being filled, in one pool of blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.catalog.models import model
from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.memory.planner import Plan
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question

ASKED = Question("glm-5.3-flash", "h100-sxm", tp=8, version="0.31.0", max_model_len=262_144)
LAYERS = 11
"""Of sparse attention; 34 more keep a state."""


def plan(**asked: Any) -> Plan:
    return answer(replace(ASKED, **asked)).plan


def test_tokens_are_those_of_a_start_up_on_eight_h100() -> None:
    """28.73 GiB held 2,618,281 tokens: exactly so for requests of 262,144 without prefix caching."""
    found = plan(kv_cache_memory_bytes=round(28.73 * 2**30), enable_prefix_caching=False)
    assert found.kv_tokens == 2_618_281
    assert plan().terms.kv_bytes / 2**30 == pytest.approx(28.73, rel=0.015)


def test_blocks_of_four_gpus_are_as_long_as_lmcache_saw_them() -> None:
    """1,152 tokens, 67 caches: 34 states, and 11 layers with three (github.com/LMCache/LMCache/pull/5042)."""
    found = plan(tp=4, gpu="h200")
    assert {group.page.tokens for group in found.groups if group.page.kind != "ring"} == {1152}
    assert sum(len(group.members) for group in found.groups) == 67
    assert found.terms.block_bytes == LAYERS * 1152 * (512 * 2 + 132 // 4)


def test_states_are_dealt_out_to_groups_that_do_not_widen_a_block() -> None:
    """Nine, nine, eight and eight beside eleven latents with their rows, and one group of rings of a pool of four."""
    groups = plan().groups
    assert sorted(len(group.members) for group in groups if group.page.kind == "state") == [8, 8, 9, 9]
    (ring,) = (group for group in groups if group.page.kind == "ring")
    assert (ring.page.tokens, ring.page.bytes, len(ring.members)) == (4, 4 * 2 * 128 * 2, LAYERS)


@pytest.mark.parametrize(("drafts", "tokens"), [(1, 8), (4, 8), (5, 16)])
def test_a_ring_holds_the_drafts_of_a_step(drafts: int, tokens: int) -> None:
    found = plan(speculative_method="mtp", num_speculative_tokens=drafts, gpu="h200")
    assert {group.page.tokens for group in found.groups if group.page.kind == "ring"} == {tokens}


@pytest.mark.parametrize(
    ("gpu", "kv_dtype", "version", "token_bytes"),
    [
        ("h200", "auto", "0.32.0", 1024),
        ("h200", "fp8", "0.32.0", 512),
        ("b200", "fp8", "0.32.0", 512),
        ("h200", "fp8_ds_mla", "0.32.0", 656),
        ("rtx-pro-6000", "auto", "0.32.0", 656),
    ],
)
def test_packed_latents_keep_room_for_a_rotary_part(gpu: str, kv_dtype: str, version: str, token_bytes: int) -> None:
    """Plain fp8 on Hopper, whose packing kernel takes latents of 512 in no other way (`flashmla_sparse.py`)."""
    found = plan(gpu=gpu, kv_dtype=kv_dtype, version=version, kv_cache_memory_bytes=2**33)
    (latents,) = (group for group in found.groups if group.page.kind == "latent")
    assert max(latents.member_bytes) == token_bytes * max(group.page.tokens for group in found.groups)


def test_attention_stays_in_16_bit_and_an_older_vllm_does_not_know_it() -> None:
    assert all(each.plain for each in answer(ASKED).shape.matrices if ".self_attn." in each.name)
    with pytest.raises(InputError, match=r"before 0\.30\.0"):
        plan(version="0.29.0")


def test_one_residual_stream_needs_nothing_that_mixes_them() -> None:
    config = model("glm-5.3-flash").config
    text = config["text_config"]
    one = shape_from_config("one", {**config, "text_config": {**text, "mhc": False}})
    four = shape_from_config("four", config)
    assert (one.streams, four.streams) == (1, 4)
    assert four.parameters - one.parameters == 45 * 2 * (4 * 6) * (4 * 4096)
