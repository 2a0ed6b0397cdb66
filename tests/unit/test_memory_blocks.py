"""KV blocks: sizes by hand, weights as published, terms that add up, and what would make a model start."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.catalog.models import model
from simulator.catalog.shapes.quantization import named
from simulator.catalog.vllm import overheads
from simulator.errors import InputError
from simulator.memory.cache import request_blocks
from simulator.memory.planner import NULL_BLOCK, Plan
from simulator.memory.weights import Weights, weight_bytes_by_stage
from simulator.perf.device import Split
from simulator.resolve.cards import card_of
from simulator.resolve.engines import plan_engine
from simulator.resolve.kv_blocks import kv_blocks
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings


def plan(name: str, gpu: str, **asked: Any) -> Plan:
    return answer(Question(name, gpu, **asked)).plan


@pytest.mark.parametrize(
    ("name", "asked", "per_token"),
    [
        ("llama-3.1-8b", {}, 2 * 32 * 8 * 128 * 2),
        ("llama-3.1-8b", {"kv_dtype": "fp8"}, 2 * 32 * 8 * 128),
        ("llama-3.1-8b", {"kv_dtype": "fp8_e5m2"}, 2 * 32 * 8 * 128),
        ("llama-3.1-8b", {"kv_dtype": "nvfp4"}, 2 * 32 * 8 * 128 * 9 / 16),
        ("llama-3.1-8b", {"kv_dtype": "bfloat16"}, 2 * 32 * 8 * 128 * 2),
        ("llama-3.1-70b", {"tp": 4}, 2 * 80 * 2 * 128 * 2),
        ("llama-3.1-70b", {"tp": 8, "pp": 2}, 2 * 40 * 1 * 128 * 2),
        ("qwen3-30b-a3b", {"tp": 8}, 2 * 48 * 1 * 128 * 2),
        ("deepseek-v3", {"tp": 8}, 61 * (512 + 64) * 2),
    ],
)
def test_bytes_of_a_block_by_hand(name: str, asked: dict[str, Any], per_token: float) -> None:
    for block_size in (16, 64):
        found = plan(name, "b200", block_size=block_size, max_model_len=8192, **asked)
        assert found.terms.block_bytes == block_size * per_token


def test_windows_and_full_attention_of_gpt_oss_take_equal_blocks() -> None:
    found = plan("gpt-oss-120b", "b200", version="0.31.0")
    assert [(group.page.kind, len(group.members)) for group in found.groups] == [("window", 18), ("full", 18)]
    assert found.terms.block_bytes == 16 * 2 * 18 * 8 * 64 * 2


@pytest.mark.parametrize(
    ("name", "dtype", "published_gb"),
    [
        ("llama-3.1-8b", None, 16.06),
        ("llama-3.1-70b", "fp8", 72.7),
        ("gpt-oss-120b", "mxfp4", 65.2),
        ("gpt-oss-20b", "mxfp4", 13.8),
    ],
)
def test_weights_are_as_large_as_the_published_files(name: str, dtype: str | None, published_gb: float) -> None:
    """As published, without what the kernels of a GPU pad."""
    shape = model(name).shape
    formats = Weights(named(dtype, shape, card_of("h100-sxm"), True).format_of if dtype else lambda matrix: None)
    (size,) = weight_bytes_by_stage(shape, formats, Split())
    assert size / 1e9 == pytest.approx(published_gb, rel=0.01)


@pytest.mark.parametrize(
    "split",
    [{"gpu": "b300", "tp": 4}, {"gpu": "h200", "tp": 8, "pp": 2}, {"gpu": "h200", "dp": 32, "expert_parallel": True}],
)
def test_one_copy_of_the_weights_is_the_same_however_gpus_share_them(split: dict[str, Any]) -> None:
    """DeepSeek-V3: 671e9 parameters in 8 bit, 1.85e9 of them in 16, and 61 · 512 · 128 · 256 in 16 bit once more."""
    assert plan("deepseek-v3", **split).one_copy_bytes / 1e9 == pytest.approx(673.0 + 2.05, rel=1e-3)


@pytest.mark.parametrize(("name", "last_has"), [("llama-3.2-1b", True), ("llama-3.1-8b", False)])
def test_a_tied_embedding_lies_on_the_first_stage_and_on_the_last_as_its_head(name: str, last_has: bool) -> None:
    """In 16 bit. Beside as many layers as another stage has, the last has a table; of one stage there is one."""
    shape = model(name).shape
    stages = {pp: weight_bytes_by_stage(shape, Weights(lambda matrix: None), Split(pp=pp)) for pp in (1, 2, 4)}
    table_bytes = shape.vocab * shape.hidden * 2
    for pp in (2, 4):
        assert sum(stages[pp]) - sum(stages[1]) == (table_bytes if last_has else 0)
        assert stages[pp][-1] - stages[4][2] * 4 / pp == pytest.approx(table_bytes, rel=1e-4)


@pytest.mark.parametrize("name", ["llama-3.1-70b", "qwen3-235b-a22b", "deepseek-v3"])
def test_a_split_divides_the_weights_among_the_gpus(name: str) -> None:
    whole = plan(name, "b200", dtype="bf16").weight_bytes_total
    for tp, pp in ((2, 1), (4, 1), (1, 2), (4, 2)):
        total = plan(name, "b200", dtype="bf16", tp=tp, pp=pp).weight_bytes_total
        assert whole <= total * (1 + 1e-12)
        assert total < 1.1 * whole


WITH_MTP = "qwen3.6-27b"
MODELS = ["llama-3.1-8b", "qwen3-14b", "gpt-oss-20b", "qwen3-30b-a3b", "gemma-3-4b", WITH_MTP]
DRAFTS: list[dict[str, str]] = [
    {},
    {"speculative_method": "eagle"},
    {"speculative_method": "draft_model", "draft_model": "qwen3-0.6b"},
]


@given(
    drafted=st.tuples(st.sampled_from(MODELS), st.sampled_from(DRAFTS))
    | st.just((WITH_MTP, {"speculative_method": "mtp"})),
    gpu=st.sampled_from(["h100-sxm", "h200", "b200", "mi300x"]),
    kv_dtype=st.sampled_from(["auto", "fp8"]),
    block_size=st.sampled_from([16, 32, 128]),
    utilization=st.floats(0.85, 0.98),
    version=st.sampled_from(["0.26.0", "0.29.0", "0.33.0"]),
)
@settings(max_examples=40, deadline=None)
def test_the_terms_add_up(
    drafted: tuple[str, dict[str, str]],
    gpu: str,
    kv_dtype: str,
    block_size: int,
    utilization: float,
    version: str,
) -> None:
    name, drafts = drafted
    asked = {"kv_dtype": kv_dtype, "block_size": block_size, "version": version}
    found = plan(name, gpu, gpu_memory_utilization=utilization, max_model_len=4096, **asked, **drafts)
    terms = found.terms
    taken = terms.weight_bytes + terms.activation_bytes + terms.runtime_bytes
    taken += terms.graph_bytes if terms.graphs_in_budget else 0.0
    assert taken + terms.kv_bytes == pytest.approx(terms.usable_bytes)
    assert 0 <= terms.kv_bytes - found.num_blocks * terms.block_bytes < terms.block_bytes
    assert terms.usable_bytes == terms.total_bytes * utilization


@pytest.mark.parametrize(
    ("name", "gpu", "asked"),
    [
        ("llama-3.1-70b", "h100-sxm", {}),
        ("llama-3.1-405b", "h100-sxm", {"dtype": "fp8", "tp": 4}),
        ("qwen2.5-72b", "a100-40", {"tp": 2}),
        ("gpt-oss-120b", "a100-40", {}),
    ],
)
def test_a_model_that_does_not_fit_names_a_split_that_does(name: str, gpu: str, asked: dict[str, Any]) -> None:
    question = Question(name, gpu, **asked)
    with pytest.raises(InputError, match=r"[\d.]+ GiB per GPU are missing.*start, each alone: .*tp=\d+") as caught:
        kv_blocks(question)
    found = re.search(r"tp=(\d+)", str(caught.value).split("alone:")[1])
    assert found
    assert kv_blocks(replace(question, tp=int(found[1]))).num_blocks > NULL_BLOCK
    with pytest.raises(InputError):
        kv_blocks(replace(question, tp=int(found[1]) // 2))


def test_more_adapters_than_fit_name_how_many_do() -> None:
    """64 adapters of rank 32 of a 70B take, with what tp leaves whole, 561 MB of bf16 each on either GPU: 36 GB."""
    asked = Question("llama-3.1-70b", "h100-sxm", tp=2, dtype="fp8", enable_lora=True, max_loras=64, max_lora_rank=32)
    with pytest.raises(InputError, match=r"start, each alone: .*max_loras=32") as caught:
        kv_blocks(asked)
    assert "max_loras=16" not in str(caught.value)
    assert kv_blocks(replace(asked, max_loras=32)).num_blocks > NULL_BLOCK


def test_the_missing_memory_is_what_would_make_it_fit(tmp_path: Path) -> None:
    def card(gib: float) -> str:
        file = tmp_path / f"{gib}.yaml"
        file.write_text(f"{{name: mine, memory_gib: {gib}, generation: hopper}}", encoding="utf-8")
        return str(file)

    asked = Question("llama-3.1-70b", card(80), gpu_memory_utilization=0.9, max_model_len=16)
    with pytest.raises(InputError) as caught:
        kv_blocks(asked)
    found = re.search(r"([\d.]+) GiB per GPU", str(caught.value))
    assert found
    assert kv_blocks(replace(asked, gpu=card(80 + (float(found[1]) + 0.1) / 0.9))).num_blocks > NULL_BLOCK


def test_a_length_that_is_left_out_is_the_largest_that_fits() -> None:
    asked = Question("llama-3.1-8b", "l4")
    free = kv_blocks(asked)
    assert free.max_model_len == (free.num_blocks - NULL_BLOCK) * 16 < 131072
    assert kv_blocks(replace(asked, max_model_len=free.max_model_len)).max_model_len == free.max_model_len
    with pytest.raises(InputError, match=f"set max_model_len to at most {free.max_model_len}"):
        kv_blocks(replace(asked, max_model_len=free.max_model_len + 1))
    assert kv_blocks(replace(asked, gpu="h100-sxm")).max_model_len == 131072
    with pytest.raises(InputError, match="beyond the 131072 tokens"):
        kv_blocks(replace(asked, gpu="h100-sxm", max_model_len=131073))


def test_no_request_is_longer_than_the_block_table_of_an_old_version() -> None:
    """Before 0.29 vLLM does not count the null block when it checks the longest request."""
    found = kv_blocks(Question("llama-3.1-8b", "l4", version="0.11.0"))
    assert found.plan.max_model_len == found.num_blocks * 16
    assert found.max_model_len == (found.num_blocks - NULL_BLOCK) * 16


@pytest.mark.parametrize("utilization", [0.0, 1.01, float("nan")])
def test_utilization_is_a_share(utilization: float) -> None:
    with pytest.raises(InputError, match=r"must be in \(0, 1\]"):
        plan("llama-3.1-8b", "h100-sxm", gpu_memory_utilization=utilization)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("llama-3.1-8b", {"tp": 3}, r"does not divide the 32 attention heads.*works: 1, 2, 4, 8"),
        ("qwen2.5-7b", {"tp": 7}, r"neither divides the 4 KV heads"),
        ("llama-3.1-8b", {"pp": 33}, "more than the 32 layers"),
        ("llama-3.1-8b", {"tp": 0}, "must be from 1 to 4,096"),
        ("llama-3.1-8b", {"expert_parallel": True}, "dense model"),
        ("llama-3.1-8b", {"dp": 2}, "dense model"),
        ("deepseek-v3", {"tp": 8, "redundant_experts": 8}, "enable_expert_parallel"),
    ],
)
def test_splits_that_do_not_work(name: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(name, "h100-sxm", **asked)


def test_formats_that_a_gpu_does_not_compute_in_are_refused_with_what_works() -> None:
    def planned(gpu: str, quantization: str) -> Plan:
        asked = EngineSettings.model_validate({"quantization": quantization})
        return plan_engine("llama-3.1-8b", gpu, 1, 1, asked, Path()).memory.plan

    with pytest.raises(InputError, match=r"h100-sxm does not compute in fp4; use .*bf16"):
        planned("h100-sxm", "fp4")
    with pytest.raises(InputError, match=r"a100-80 does not compute in fp8; use .*int8.*w8a16.*int4"):
        planned("a100-80", "fp8")
    assert planned("a100-80", "int4").terms.weight_bytes < 7e9


def test_redundant_experts_take_room_and_let_any_group_hold_whole_experts() -> None:
    """DeepSeek-V3 as its operator serves it: 256 experts and 32 copies on 144 GPUs, two of each layer on every GPU."""
    arch = model("deepseek-v3").architecture
    eight, wide = (
        plan("deepseek-v3", "h800", expert_parallel=True, dp=dp, redundant_experts=copies, max_model_len=4096)
        for dp, copies in ((128, 0), (144, 32))
    )
    assert wide.fits
    assert wide.terms.weight_bytes == pytest.approx(eight.terms.weight_bytes)
    more = plan("deepseek-v3", "h800", expert_parallel=True, dp=32, redundant_experts=32, max_model_len=4096)
    less = plan("deepseek-v3", "h800", expert_parallel=True, dp=32, max_model_len=4096)
    one_expert = 3 * arch.hidden_size * arch.moe_intermediate_size * (1 + 4 / 128**2)
    assert more.terms.weight_bytes - less.terms.weight_bytes == pytest.approx(58 * one_expert)
    with pytest.raises(InputError, match=r"num_redundant_experts: 32"):
        plan("deepseek-v3", "h800", expert_parallel=True, dp=144)


def test_a_draft_model_takes_its_weights_and_blocks() -> None:
    alone, small, both = (
        plan("llama-3.1-70b", "h200", tp=2, **drafts)
        for drafts in ({}, {}, {"speculative_method": "draft_model", "draft_model": "llama-3.1-8b"})
    )
    small = plan("llama-3.1-8b", "h200", tp=2)
    assert both.terms.block_bytes == alone.terms.block_bytes + small.terms.block_bytes
    rotary = 131072 * 128 * 2
    weights = alone.terms.weight_bytes + small.terms.weight_bytes
    assert both.terms.weight_bytes == pytest.approx(weights, abs=rotary)


def test_a_draft_head_is_one_more_layer() -> None:
    """Multi-token prediction of DeepSeek-V3: a layer of 256 experts as the others, and a projection of 2h x h."""
    asked = {"tp": 8, "max_model_len": 8192}
    alone, mtp = (plan("deepseek-v3", "h200", speculative_method=method, **asked) for method in (None, "mtp"))
    assert mtp.terms.block_bytes * 61 == alone.terms.block_bytes * 62
    published = 11.5e9
    assert (mtp.terms.weight_bytes - alone.terms.weight_bytes) * 8 == pytest.approx(published, rel=0.16)
    eagle = plan("llama-3.1-70b", "h100-sxm", tp=4, speculative_method="eagle")
    target = plan("llama-3.1-70b", "h100-sxm", tp=4)
    layer = 8192 * (2 * 8192 + 2 * 1024 + 3 * 28672) / 4 + 2 * 8192**2
    assert eagle.terms.weight_bytes - target.terms.weight_bytes == pytest.approx(2 * layer, rel=0.001)
    assert plan("llama-3.1-70b", "h100-sxm", tp=4, speculative_method="ngram") == target


def test_the_head_of_eagle_reads_all_tokens() -> None:
    """Of Gemma 3 27B's 62 layers the last has a window; a head of Llama's kind beside it joins those that have none."""
    asked = {"tp": 2, "max_model_len": 8192, "speculative_method": "eagle", "num_speculative_tokens": 3}
    groups = plan("gemma-3-27b", "h100-sxm", **asked).groups
    assert {group.page.kind: len(group.members) for group in groups} == {"window": 10, "full": 11}


def test_what_drafts_lies_on_the_last_stage() -> None:
    drafts = {"speculative_method": "draft_model", "draft_model": "llama-3.1-8b"}
    alone, both = (plan("llama-3.1-70b", "h100-sxm", tp=2, pp=2, **each) for each in ({}, drafts))
    small = plan("llama-3.1-8b", "h100-sxm", tp=2)
    assert both.weight_bytes_total - alone.weight_bytes_total == pytest.approx(small.weight_bytes_total, rel=0.01)
    assert both.terms.block_bytes == alone.terms.block_bytes + small.terms.block_bytes


def test_windows_are_kept_aside_where_an_engine_has_one_block_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 4 has 10 layers of 4 wide heads that see all tokens, 50 of 16 narrow ones that see 1,024, and EAGLE's; so
    are groups planned that are not simulated."""
    monkeypatch.setattr("simulator.resolve.kv_blocks.not_simulated", lambda *_: "groups: not simulated")
    asked = Question("gemma-4-31b", "h200", max_num_seqs=8, speculative_method="eagle", num_speculative_tokens=2)
    found = kv_blocks(asked)
    assert found.groups == ()
    full, window = (sum(sizes) for sizes in _token_bytes_by_kind(found.plan))
    assert found.block_bytes == 16 * full
    room = found.plan.terms.kv_bytes - 8 * 1024 * window
    assert found.num_blocks == int(room // found.block_bytes)
    many = kv_blocks(replace(asked, max_num_seqs=2**20, max_num_batched_tokens=2048))
    assert many.num_blocks == int(many.plan.terms.kv_bytes * full / (full + window) // many.block_bytes)


def _token_bytes_by_kind(plan: Plan) -> tuple[list[float], list[float]]:
    """Bytes of a token in each layer with full attention, and in each with a window."""
    found: dict[str, list[float]] = {"full": [], "window": []}
    for group in plan.groups:
        found[group.page.kind] += [size / group.page.tokens for size in group.member_bytes]
    return found["full"], found["window"]


def test_windows_everywhere_are_planned_as_blocks_of_all_layers() -> None:
    windowed = kv_blocks(Question("mistral-7b-v0.1", "l4"))
    assert windowed.block_bytes == 16 * 2 * 32 * 8 * 128 * 2
    assert windowed.num_blocks == windowed.plan.num_blocks


@pytest.mark.parametrize(("version", "of_requests"), [("0.20.0", False), ("0.20.1", True), ("0.24.0", True)])
def test_tokens_of_windows_are_those_of_the_longest_requests_from_0_20_1_on(version: str, of_requests: bool) -> None:
    """Before, windows counted as if they kept every token: Gemma 4 31B went from 55 to 525 thousand tokens at once."""
    found = plan("gemma-4-31b", "a100-80", dtype="awq", version=version, gpu_memory_utilization=0.9)
    assert len(found.groups) > 1
    if of_requests:
        assert found.kv_tokens == int(found.max_concurrency * found.max_model_len)
    else:
        assert found.kv_tokens == found.num_blocks // len(found.groups) * min(g.page.tokens for g in found.groups)


def test_the_longest_request_of_compressed_attention_is_what_vllm_estimates() -> None:
    """vLLM 0.22 on two GH200, its offline budget of 16,384 tokens: 5.44 GiB hold 13,528 tokens, 30,000 need 6.66 GiB
    (github.com/vllm-project/vllm/issues/44376, 2026-06-03; GiB as printed, to two digits).
    """
    asked = {"tp": 2, "expert_parallel": True, "version": "0.22.0", "kv_dtype": "fp8", "block_size": 256}
    more = {"max_num_batched_tokens": 16_384, "max_model_len": 30_000, "gpu_memory_utilization": 0.95}
    found = plan("deepseek-v4-flash", "gh200", **asked, **more, kv_cache_memory_bytes=round(5.44 * 2**30))
    assert found.longest_that_fits == pytest.approx(13_528, abs=70)
    assert not found.fits
    needed = sum(request_blocks(group, 30_000, 16_384, prefix_caching=True) for group in found.groups)
    assert needed * found.terms.block_bytes / 2**30 == pytest.approx(6.66, abs=0.005)


def test_a_cache_of_a_given_size_is_taken_as_far_as_the_card_holds_it() -> None:
    """What is left on the card is the most: a block more does not start, nor does a model whose weights do not fit."""
    held = plan("llama-3.1-8b", "h100-sxm").terms
    context = overheads().context
    others = held.weight_bytes + held.activation_bytes + held.runtime_bytes + held.graph_bytes + context
    most = int(held.total_bytes - others)
    fits, beyond = (plan("llama-3.1-8b", "h100-sxm", kv_cache_memory_bytes=most + more) for more in (0, 2**21))
    assert fits.fits
    assert fits.num_blocks == most // held.block_bytes
    assert "lower kv_cache_memory_bytes" in " ".join(beyond.refusals)
    assert not plan("llama-3.1-70b", "h100-sxm", kv_cache_memory_bytes=2**30).fits
    for wrong in (0, -1, 2**51):
        with pytest.raises(InputError, match="kv_cache_memory_bytes"):
            plan("llama-3.1-8b", "h100-sxm", kv_cache_memory_bytes=wrong)
