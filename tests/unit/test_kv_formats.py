"""Formats of the KV cache: bytes by hand from vLLM's own specs, layers that stay in 16 bit, and what vLLM refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from simulator.catalog.kv_cache import kv_cache_names
from simulator.errors import InputError
from simulator.memory.kv_format import KvFormat
from simulator.memory.planner import Plan
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.memory import answer, shape_of
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings, KvCacheDtype


def plan(name: str, gpu: str, **asked: Any) -> Plan:
    return answer(Question(name, gpu, max_model_len=8192, **asked)).plan


def engine(tmp_path: Any, **settings: Any) -> PlannedEngine:
    return plan_engine("llama-3.1-8b", "h100-sxm", 1, 1, EngineSettings(**settings), tmp_path)


PLAIN = 8 * 2 * 128 * 2
"""Bytes of a token in a layer of Llama 3.1 8B in 16 bit."""


@pytest.mark.parametrize(
    ("kv_dtype", "gpu", "layers_of_bytes", "block_tokens"),
    [
        # head_size elements and a float32 scale, for key and value (`TritonAttentionBackend.customize_spec`).
        ("int8_per_token_head", "a100-80", [(32, 8 * 2 * (128 + 4))], 16),
        ("fp8_per_token_head", "h100-sxm", [(32, 8 * 2 * (128 + 4))], 16),
        ("int4_per_token_head", "a100-80", [(32, 8 * 2 * (64 + 4))], 16),
        ("nvfp4", "b200", [(32, 8 * 2 * (64 + 8))], 16),
        # `TurboQuantConfig.slot_size_aligned`: 128 fp8 keys, or indices and a norm; values, scale and zero.
        ("turboquant_k8v4", "h100-sxm", [(28, 8 * (128 + 64 + 4)), (4, PLAIN)], 32),
        ("turboquant_4bit_nc", "h100-sxm", [(28, 8 * (64 + 2 + 64 + 4)), (4, PLAIN)], 32),
        ("turboquant_k3v4_nc", "h100-sxm", [(28, 8 * (48 + 2 + 64 + 4)), (4, PLAIN)], 32),
        ("turboquant_3bit_nc", "h100-sxm", [(28, 8 * (48 + 2 + 48 + 4)), (4, PLAIN)], 32),
        # D=128: 136 bytes a slot (`ops/ultraquant/format.py`).
        ("ultraquant_4bit", "mi300x", [(28, 8 * 136), (4, PLAIN)], 64),
    ],
)
def test_bytes_of_a_block_by_hand(
    kv_dtype: str, gpu: str, layers_of_bytes: list[tuple[int, int]], block_tokens: int
) -> None:
    found = plan("llama-3.1-8b", gpu, kv_dtype=kv_dtype, version="0.32.0")
    (group,) = found.groups
    assert group.page.tokens == block_tokens
    assert found.terms.block_bytes == block_tokens * sum(layers * size for layers, size in layers_of_bytes)
    assert found.num_blocks == int(found.terms.kv_bytes // found.terms.block_bytes)


def test_blocks_are_lengthened_beside_layers_in_16_bit_from_0_25_on() -> None:
    asked = {"kv_dtype": "turboquant_k8v4"}
    assert plan("llama-3.1-8b", "h100-sxm", version="0.24.0", **asked).groups[0].page.tokens == 16
    assert plan("llama-3.1-8b", "h100-sxm", version="0.25.0", **asked).groups[0].page.tokens == 32
    assert plan("llama-3.1-8b", "h100-sxm", version="0.25.0", block_size=64, **asked).groups[0].page.tokens == 64


def test_a_slot_has_an_even_number_of_bytes() -> None:
    """`slot_size` of 96-wide heads with 3-bit keys and values: 36 + 2 + 36 + 4; of 20-wide ones 8 + 2 + 8 + 4."""
    packed = KvFormat("turboquant_3bit_nc", 3, 3, 2, 4, even=True)
    assert packed.head_bytes(96, 96, 2) == 78
    assert packed.head_bytes(20, 20, 2) == 22
    assert KvFormat("turboquant_k3v4_nc", 3, 4, 2, 4, even=True).head_bytes(24, 24, 2) == 28  # 9 + 2 + 12 + 4


def test_beside_recurrent_states_every_layer_with_attention_is_packed() -> None:
    """Qwen3.6 27B has 16 layers with full attention, with heads of 256: 256 fp8 keys, 128 bytes of values, 4."""
    found = plan("qwen3.6-27b", "h200", kv_dtype="turboquant_k8v4", version="0.32.0")
    full = next(group for group in found.groups if group.page.kind == "full")
    assert full.page.size == 4 * (256 + 128 + 4)
    assert len(full.members) == 16


@pytest.mark.parametrize(
    ("kv_dtype", "gpu", "version", "of_token"),
    [
        ("auto", "h200", "0.32.0", 576 * 2),
        ("fp8", "h200", "0.32.0", 512 + 4 * 4 + 64 * 2),  # fp8_ds_mla: 656
        ("fp8_ds_mla", "h200", "0.32.0", 656),
        ("fp8", "b200", "0.16.0", 656),
        ("fp8", "b200", "0.32.0", 576),  # FlashInfer's kernel comes first
        ("nvfp4_ds_mla", "b200", "0.32.0", 352),
        ("auto", "rtx-pro-6000", "0.32.0", 656),  # its one kernel
    ],
)
def test_latents_of_sparse_attention(kv_dtype: str, gpu: str, version: str, of_token: int) -> None:
    """DeepSeek V3.2: 61 layers with a latent of 512 and 64, and keys of the indexer: 128 and a scale."""
    found = plan("deepseek-v3.2", gpu, tp=8, kv_dtype=kv_dtype, version=version)
    assert found.terms.block_bytes == 16 * 61 * (of_token + 132)


@pytest.mark.parametrize(
    ("model", "gpu", "asked", "message"),
    [
        ("llama-3.1-8b", "h100-sxm", {"kv_dtype": "int8_per_token_head", "version": "0.19.0"}, "before 0.20.0"),
        ("llama-3.1-8b", "h100-sxm", {"kv_dtype": "int4_per_token_head", "version": "0.24.0"}, "before 0.25.0"),
        ("llama-3.1-8b", "a100-80", {"kv_dtype": "fp8_per_token_head"}, r"on a100-80 \(ampere\)"),
        ("llama-3.1-8b", "h100-sxm", {"kv_dtype": "nvfp4", "version": "0.31.0"}, r"on h100-sxm \(hopper\)"),
        ("llama-3.1-8b", "t4", {"kv_dtype": "nvfp4"}, r"on t4 \(turing\)"),
        ("llama-3.2-1b", "h100-sxm", {"kv_dtype": "nvfp4", "version": "0.32.0"}, "with heads of 64"),
        ("llama-3.1-8b", "h100-sxm", {"kv_dtype": "ultraquant_4bit"}, r"on h100-sxm \(hopper\)"),
        ("deepseek-v3", "h200", {"kv_dtype": "turboquant_k8v4", "tp": 8}, "with latent attention"),
        ("deepseek-v3", "h200", {"kv_dtype": "int8_per_token_head", "tp": 8}, "with latent attention"),
        ("deepseek-v3", "b200", {"kv_dtype": "nvfp4", "tp": 8}, "with latent attention"),
        ("deepseek-v3", "h200", {"kv_dtype": "fp8_ds_mla", "tp": 8}, "without sparse latent attention"),
        ("gemma-3-27b", "h200", {"kv_dtype": "turboquant_4bit_nc"}, "with sliding windows"),
        ("gpt-oss-120b", "b200", {"kv_dtype": "turboquant_4bit_nc"}, "with sliding windows"),
        (
            "qwen3.6-27b",
            "h200",
            {"kv_dtype": "turboquant_k8v4", "version": "0.20.0"},
            "beside recurrent states before 0.21.0",
        ),
        ("llama-3.1-8b", "h100-sxm", {"kv_dtype": "turboquant"}, "unknown kv_dtype"),
    ],
)
def test_what_vllm_refuses(model: str, gpu: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(model, gpu, **asked)


def test_a_scenario_takes_the_names_that_the_memory_plan_knows() -> None:
    spelled_otherwise = {"bf16", "fp16", "fp8_inc"}
    assert set(get_args(KvCacheDtype)) == set(kv_cache_names()) - spelled_otherwise


def test_a_run_reads_what_it_stores_and_says_that_nobody_measured_it(tmp_path: Any) -> None:
    packed = engine(tmp_path, kv_cache_dtype="turboquant_k8v4")
    assert packed.layout.kv_value_bytes == pytest.approx((28 * 196 + 4 * 512) / (32 * 256))
    assert any("turboquant_k8v4: its attention was not measured" in note for note in packed.notes)
    assert packed.config.block_size == 32
    plain, eight = engine(tmp_path), engine(tmp_path, kv_cache_dtype="fp8_e4m3")
    assert not any("was not measured" in note for note in (*plain.notes, *eight.notes))
    tokens = [each.config.num_blocks * each.config.block_size for each in (plain, eight, packed)]
    assert tokens == sorted(tokens)


def test_a_refusal_stands_at_the_key_of_the_engine(tmp_path: Any) -> None:
    with pytest.raises(InputError) as error:
        engine(tmp_path, kv_cache_dtype="ultraquant_4bit")
    assert error.value.problems[0].path == "engine.kv_cache_dtype"


def test_values_of_16_bit_and_of_8_are_as_long_as_they_say() -> None:
    for name in ("llama-3.1-8b", "deepseek-v3", "gpt-oss-20b", "qwen3.6-27b"):
        shape = shape_of(name, Path())
        assert KvFormat().value_bytes(shape) == 2.0
        assert KvFormat("fp8", 8, 8).value_bytes(shape) == 1.0
