"""Blocks beside a recurrent state: its convolution's tail, prefix caching as asked, tokens as vLLM prints them."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.config import shape_from_config
from simulator.catalog.vllm import rules
from simulator.memory.cache import _state_bytes, pages
from simulator.memory.kv_format import IN_16_BIT
from simulator.memory.planner import Plan
from simulator.memory.shape import LayerCache, StatePart
from simulator.perf.device import Split
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question

GIB = 2**30


def plan(name: str, **asked: Any) -> Plan:
    return answer(Question(name, "h200", **asked)).plan


def state_page(found: Plan) -> int:
    return next(group.page.size for group in found.groups if group.page.kind == "state")


def test_each_draft_is_one_more_token_in_the_tail_of_a_convolution() -> None:
    asked: dict[str, Any] = {"tp": 2, "kv_dtype": "fp8", "version": "0.24.0", "max_model_len": 262_144}
    channels = (2 * 16 * 128 + 48 * 128) // 2
    matrices = 24 * 128 * 128 * 4
    without = plan("qwen3.6-27b", **asked)
    drafted = plan("qwen3.6-27b", **asked, speculative_method="mtp", num_speculative_tokens=3)
    assert state_page(without) == matrices + channels * 3 * 2
    assert state_page(drafted) == matrices + channels * (3 + 3) * 2
    # one token of two KV heads of 256, keys and values, takes 1,024 bytes: 1,567 and 1,597 tokens, in steps of 16
    assert {group.page.tokens for group in without.groups} == {1568}
    assert {group.page.tokens for group in drafted.groups} == {1600}


@pytest.mark.parametrize(
    ("name", "asked", "kv_bytes", "tokens"),
    [
        # What vLLM 0.24.0 printed, public reports of 2026-07-06 and 2026-07-09 (github.com/noonghunna/club-3090, issues
        # 612 and 652): blocks of 2,096 tokens in ten layers; 299 and 300 of them, 3 x 2 + 63 a request
        ("qwen3.6-35b-a3b", {"max_model_len": 131_072}, 5.98 * GIB, 567_978),
        ("qwen3.6-35b-a3b", {"max_model_len": 131_072}, 6.01 * GIB, 569_878),
        # two GPUs, three drafts (issue 642, 2026-07-08; 426 blocks, 3 x 5 + 164 a request)
        (
            "qwen3.6-27b",
            {"max_model_len": 262_144, "tp": 2, "speculative_method": "mtp", "num_speculative_tokens": 3},
            426 * 1600 * 1024 * 17,
            623_873,
        ),
    ],
)
def test_tokens_beside_states_are_those_that_vllm_printed(
    name: str, asked: dict[str, Any], kv_bytes: float, tokens: int
) -> None:
    found = plan(
        name,
        version="0.24.0",
        kv_dtype="fp8",
        enable_prefix_caching=True,
        kv_cache_memory_bytes=round(kv_bytes),
        max_num_seqs=2,
        **asked,
    )
    assert found.fits
    assert found.kv_tokens == tokens
    assert found.terms.kv_bytes == round(kv_bytes)


@pytest.mark.parametrize(
    ("version", "asked", "states"),
    [
        ("0.14.0", None, 1),
        ("0.14.0", True, 1),  # turned off: no cache for layers with a state yet
        ("0.24.0", None, 1),
        ("0.24.0", True, 2),
        ("0.24.0", False, 1),
        ("0.32.0", None, 2),
        ("0.32.0", False, 1),
    ],
)
def test_a_request_holds_two_states_where_prefix_caching_is_on(version: str, asked: bool | None, states: int) -> None:
    length = 262_144
    found = plan("qwen3.6-27b", version=version, enable_prefix_caching=asked, max_model_len=length)
    groups = [group for group in found.groups if group.page.kind == "state"]
    full = next(group for group in found.groups if group.page.kind == "full")
    held = found.num_blocks / found.max_concurrency
    assert held == pytest.approx(-(-length // full.page.tokens) + states * len(groups))


def test_prefix_caching_is_on_by_default_where_no_layer_has_a_state() -> None:
    asked = answer(Question("llama-3.1-8b", "h200")).request
    assert asked.enable_prefix_caching
    assert not answer(Question("llama-3.1-8b", "h200", enable_prefix_caching=False)).request.enable_prefix_caching


def test_groups_of_a_mamba2_layer_are_copied_until_each_gpu_has_one() -> None:
    """`extra_groups_for_head_shards`: two groups on four GPUs are four."""
    config = {
        "architectures": ["FalconH1ForCausalLM"],
        "model_type": "falcon_h1",
        "hidden_size": 2048,
        "intermediate_size": 4096,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "vocab_size": 32_000,
        "max_position_embeddings": 4096,
        "mamba_n_heads": 32,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "mamba_n_groups": 2,
        "mamba_d_conv": 4,
    }
    shape = shape_from_config("own", config, None)

    def state(tp: int, drafts: int, version: str) -> int:
        found = pages(shape, Split(tp, 1), rules(version, shape), IN_16_BIT, 16, drafts)
        return next(page.size for page in found if page.kind == "state")

    inner, group = 32 * 64, 2 * 128
    assert state(1, 0, "0.32.0") == (inner + 2 * group) * 3 * 2 + inner * 128 * 2
    assert state(4, 0, "0.32.0") == (inner + 4 * group) // 4 * 3 * 2 + inner // 4 * 128 * 2
    assert state(4, 2, "0.32.0") == (inner + 4 * group) // 4 * 5 * 2 + inner // 4 * 128 * 2
    assert state(4, 2, "0.16.0") == state(4, 0, "0.16.0")


@pytest.mark.parametrize(("version", "step"), [("0.26.0", 64), ("0.27.0", 128), ("0.32.0", 128)])
def test_blocks_of_latents_beside_a_state_are_multiples_of_what_kernels_take(version: str, step: int) -> None:
    found = plan("kimi-k3", version=version, tp=8, max_model_len=8192)
    tokens = {group.page.tokens for group in found.groups}
    assert all(size % step == 0 for size in tokens)


@pytest.mark.parametrize(("version", "saved_at"), [("0.32.0", 1), ("0.33.0", 64)])
@pytest.mark.parametrize("block_size", [16, 48, 64])
def test_a_longer_block_size_is_the_step_of_blocks_beside_a_state(block_size: int, version: str, saved_at: int) -> None:
    found = plan("qwen3.6-27b", block_size=block_size, max_model_len=8192, version=version)
    least = 48 * 128 * 128 * 4 + (2 * 16 * 128 + 48 * 128) * 3 * 2
    per_token = 4 * (256 + 256) * 2
    step = math.lcm(block_size, saved_at)
    assert {group.page.tokens for group in found.groups} == {-(-least // (step * per_token)) * step}


@pytest.mark.parametrize(
    ("model", "gpu", "version", "states"),
    [
        ("nemotron-3-nano-30b-a3b", "h100-sxm", "0.31.0", 2),
        ("nemotron-3-nano-30b-a3b", "h100-sxm", "0.32.0", 3),
        ("nemotron-3-nano-30b-a3b", "mi300x", "0.32.0", 3),
        ("qwen3.6-27b", "h100-sxm", "0.32.0", 2),
        ("qwen3.6-27b", "h100-sxm", "0.33.0", 3),
        ("qwen3.6-27b", "b200", "0.33.0", 3),
        ("qwen3.6-27b", "a100-80", "0.33.0", 2),
        ("kimi-k3", "b300", "0.28.0", 2),
        ("kimi-k3", "b300", "0.29.0", 3),
    ],
)
def test_a_state_that_is_saved_amid_a_prefill_is_a_block_more(model: str, gpu: str, version: str, states: int) -> None:
    """With prefix caching alone, and by the kernels of a version and GPU (`num_prefill_checkpoint_blocks`)."""
    asked = Question(model, gpu, tp=8, version=version, max_model_len=8192, kv_cache_memory_bytes=2**33)
    for caching, each in ((None, states), (False, 1)):
        found = answer(replace(asked, enable_prefix_caching=caching)).plan
        attending = [group.page.tokens for group in found.groups if group.page.kind != "state"]
        held = sum(-(-8192 // tokens) for tokens in attending) + each * (len(found.groups) - len(attending))
        assert found.num_blocks / found.max_concurrency == pytest.approx(held)


@pytest.mark.parametrize(
    ("gpu", "version", "caching", "block"),
    [
        ("h100-sxm", "0.32.0", None, 784),
        ("h100-sxm", "0.33.0", None, 832),
        ("h100-sxm", "0.33.0", False, 784),
        ("rtx-pro-6000", "0.33.0", None, 832),
        ("l40s", "0.33.0", None, 784),
    ],
)
def test_blocks_follow_the_kernel_that_saves_states(gpu: str, version: str, caching: bool | None, block: int) -> None:
    """Qwen3.6 27B: 784 tokens hold a state, 832 are the next multiple of the 64 at which FlashInfer can save one."""
    asked = Question("qwen3.6-27b", gpu, version=version, max_model_len=8192, enable_prefix_caching=caching)
    assert {group.page.tokens for group in answer(replace(asked, dtype="fp8")).plan.groups} == {block}


def test_drafts_are_states_beside_the_one_that_is_saved() -> None:
    asked = Question("qwen3.6-27b", "h100-sxm", tp=8, max_model_len=8192, version="0.33.0")
    drafting = replace(asked, speculative_method="ngram", num_speculative_tokens=2)
    held = [plan.num_blocks / plan.max_concurrency for plan in (answer(each).plan for each in (asked, drafting))]
    assert held[1] - held[0] == pytest.approx(2 * 3)


def test_a_convolution_over_one_token_keeps_none_but_those_of_drafts() -> None:
    cache = parts.delta_net_state(2, 2, 8, 8, 1, 4, "")
    shape = replace(answer(Question("qwen3.6-27b", "h200")).shape, caches=(cache,), layer_of_cache=(0,))
    sizes = [pages(shape, Split(1, 1), rules("0.32.0", shape), IN_16_BIT, 16, drafts)[0].size for drafts in (0, 2)]
    assert sizes == [2 * 8 * 8 * 4, 2 * 8 * 8 * 4 + 2 * (3 * 2 * 8) * 2]


@pytest.mark.parametrize(
    ("part", "tp", "size"),
    [
        (StatePart(96, value_bytes=4), 4, 96 // 4 * 4),
        (StatePart(96), 1, 96 * 2),
        (StatePart(96, cut=False), 4, 96 * 2),
        (StatePart(10, tail=3), 2, 5 * (3 + 2) * 2),
        (StatePart(64, group_values=8, groups=2), 4, (64 + 2 * 8) // 4 * 2),
        (StatePart(64, group_values=8, groups=2), 2, 64 // 2 * 2),
    ],
)
def test_a_state_is_cut_by_tensor_parallelism_unless_it_is_not_and_groups_are_copied(
    part: StatePart, tp: int, size: int
) -> None:
    """Activations of two bytes, two drafts a step; of a layer whose convolution keeps none three tokens are read."""
    made: Any = SimpleNamespace(tails_without_drafts=("other",))
    assert _state_bytes(LayerCache("state", state=(part, part), scan="mamba"), tp, made, 2, 2) == 2 * size
    without = _state_bytes(LayerCache("state", state=(part,), scan="other"), tp, made, 2, 2)
    assert without == (5 * 3 * 2 if part.tail else size)


@pytest.mark.parametrize(
    ("name", "drafts", "text_alone", "logged"),
    [
        ("nvidia/Qwen3.6-27B-NVFP4", 2, False, 20.57),
        ("nvidia/Qwen3.8-27B-NVFP4", 0, False, 19.75),
        ("qwen3.6-27b-nvfp4", 0, True, 17.62),
        ("dia/Qwen3.6-27B-NVFP4", 0, True, 17.62),  # an owner whose name is within another's
    ],
)
def test_an_owner_s_checkpoint_has_formats_of_its_own(name: str, drafts: int, text_alone: bool, logged: float) -> None:
    """Logged: on a GB10 with mtp, on an RTX A6000 without, and of another owner's, all in NVFP4, in text alone.

    With segments that expand, as two of the logs have it.
    """
    method = "mtp" if drafts else None
    asked = Question(name, "gb10", version="0.23.0", speculative_method=method, num_speculative_tokens=drafts)
    asked = replace(asked, expandable_segments=True)
    found = answer(replace(asked, language_model_only=text_alone)).plan.terms.weight_bytes / 2**30
    assert found == pytest.approx(logged, abs=0.04)
