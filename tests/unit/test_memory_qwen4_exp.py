"""Qwen3.8 Flash Next (Qwen4-Exp): groups, blocks and weights of a published start on eight H100.

The start is of October 2026, of vLLM's main branch after 0.33: tensor parallelism 8 with experts dealt out, text alone,
64 sequences, 8,192 tokens a step, no prefix caching. It says 31.42 GiB of weights, 37.37 GiB of KV cache, an attention
block of 400 tokens, groups of [262144, 262144, 262144, 262144, 4, 400] tokens and 3,046,184 tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import write_config

from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.resolve.memory import Answer, answer
from simulator.resolve.memory_question import Question

TEXT: dict[str, Any] = {
    "model_type": "qwen4_exp_text",
    "hidden_size": 2560,
    "num_hidden_layers": 48,
    "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 12,
    "num_attention_heads": 24,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 48,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "mamba_ssm_dtype": "float32",
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "moe_intermediate_size": 640,
    "shared_expert_intermediate_size": 640,
    "hc_count": 4,
    "hc_lowrank": 320,
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 128,
    "indexer_budget": 2048,
    "indexer_compress_ratio": 4,
    "ngram_size": 3,
    "ngram_vocab_size_base": 20000000,
    "heads_per_ngram": 8,
    "ple_layer_ids": [2],
    "ple_embed_dim": 2560,
    "ple_conv_kernel_size": 4,
    "vocab_size": 248320,
    "max_position_embeddings": 262144,
    "mtp_num_hidden_layers": 1,
    "tie_word_embeddings": False,
    "rope_parameters": {"mrope_section": [11, 11, 10], "partial_rotary_factor": 0.25, "rope_type": "default"},
}
FLASH_NEXT: dict[str, Any] = {
    "architectures": ["Qwen4ExpForConditionalGeneration"],
    "model_type": "qwen4_exp",
    "tie_word_embeddings": False,
    "text_config": TEXT,
    "vision_config": {
        "model_type": "qwen4_exp_vision",
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "num_position_embeddings": 2304,
        "out_hidden_size": 2560,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "in_channels": 3,
    },
}


def started(folder: Path, **options: Any) -> Answer:
    folder.mkdir(exist_ok=True)
    asked = {"tp": 8, "expert_parallel": True, "language_model_only": True, "gpu_memory_utilization": 0.9}
    asked |= {"max_model_len": 262144, "max_num_seqs": 64, "max_num_batched_tokens": 8192, "version": "0.33.0"}
    asked |= {"enable_prefix_caching": False}
    return answer(Question(str(write_config(folder, FLASH_NEXT)), "h100-sxm", **(asked | options)))


def test_parameters_are_those_that_the_publisher_tells() -> None:
    """125 billion, and 51 more in the table of n-grams, which lies in the memory of the processors."""
    assert shape_from_config("text", TEXT).parameters == pytest.approx(125e9, rel=0.01)


def test_groups_blocks_and_weights_are_those_of_the_start(tmp_path: Path) -> None:
    """A state of 400,896 bytes a GPU takes 392 tokens of 1,024 bytes, in steps of 16; the tail of the convolution over
    n-grams makes a thirty-seventh state."""
    plan = started(tmp_path, kv_cache_memory_bytes=int(37.37 * 2**30)).plan
    assert [(group.page.kind, group.page.tokens) for group in plan.groups] == [
        *[("state", 400)] * 4,
        ("full", 400),
        ("ring", 4),
    ]
    assert sum(len(group.members) for group in plan.groups if group.page.kind == "state") == 37
    assert plan.kv_tokens == pytest.approx(3_046_184, rel=0.0005)
    assert plan.terms.weight_bytes / 2**30 == pytest.approx(31.42, rel=0.001)


def test_tokens_that_are_chosen_have_a_place_in_every_layer_of_sparse_attention(tmp_path: Path) -> None:
    """2,048 and their number, in 4 bytes, for each token of a step and each of twelve layers."""
    few, many = (
        started(tmp_path / str(tokens), max_num_batched_tokens=tokens).plan.terms.weight_bytes
        for tokens in (2048, 8192)
    )
    assert many - few == 6144 * 12 * 2049 * 4


def test_a_state_of_ngrams_is_whole_on_every_gpu() -> None:
    """Nine tokens of four streams of 2,560, as taps are as far apart as n-grams are long."""
    (tail,) = (cache for cache in shape_from_config("text", TEXT).caches if cache.scan == "short_convolution")
    assert [(part.values, part.tail, part.cut) for part in tail.state] == [(4 * 2560, 9, False)]
    without = shape_from_config("text", TEXT | {"ple_layer_ids": []})
    assert all(cache.scan != "short_convolution" for cache in without.caches)


def test_what_a_layer_cannot_be_without_is_asked_for_by_its_key() -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("text", {key: value for key, value in TEXT.items() if key != "hc_lowrank"})
    assert caught.value.problems[0].path == "hc_lowrank"
