"""Keys that a config leaves out are as its class has them: published configs as they are, against the parameters of the
modules that transformers 5.19 builds from them, and contexts by vLLM's rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA

from simulator.catalog.quantity import read_yaml
from simulator.catalog.shapes.config import TEXT_SECTIONS, shape_from_config
from simulator.errors import InputError

MODELS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text(encoding="utf-8")
)["models"]
DECODERS: dict[str, dict[str, Any]] = read_yaml("config_defaults.yaml")["decoders"]
CLIP = {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "model_type": "clip_vision_model"}
CLIP |= {"num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768}
SIGLIP = {"hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model"}
SIGLIP |= {"num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False}
STRETCHED = {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
LLAVA = {"vision_feature_layer": -2, "tie_word_embeddings": False, "vision_config": CLIP}
PUBLISHED: dict[str, tuple[dict[str, Any], int, int]] = {
    "llava-1.5-7b": (
        LLAVA
        | {
            "model_type": "llava",
            "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064},
        },
        7_063_427_072,
        4096,
    ),
    "llava-v1.6-mistral-7b": (
        LLAVA
        | {
            "model_type": "llava_next",
            "text_config": {
                "model_type": "mistral",
                "intermediate_size": 14336,
                "max_position_embeddings": 32768,
                "num_key_value_heads": 8,
                "sliding_window": None,
                "vocab_size": 32064,
            },
        },
        7_566_747_648,
        32768,
    ),
    "gemma-3-4b": (
        {
            "model_type": "gemma3",
            "mm_tokens_per_image": 256,
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 34,
                "sliding_window": 1024,
            }
            | STRETCHED,
            "vision_config": SIGLIP,
        },
        4_300_079_472,
        131072,
    ),
    "pixtral-12b": (
        {
            "model_type": "llava",
            "tie_word_embeddings": False,
            "vision_feature_layer": -1,
            "text_config": {
                "model_type": "mistral",
                "hidden_size": 5120,
                "head_dim": 128,
                "num_hidden_layers": 40,
                "intermediate_size": 14336,
                "max_position_embeddings": 1024000,
                "num_key_value_heads": 8,
                "sliding_window": None,
                "vocab_size": 131072,
            },
            "vision_config": {"model_type": "pixtral", "head_dim": 64, "image_size": 1024, "patch_size": 16},
        },
        12_682_739_712,
        1024000,
    ),
    "aya-vision-8b": (
        {
            "model_type": "aya_vision",
            "downsample_factor": 2,
            "alignment_intermediate_size": 28672,
            "text_config": {
                "model_type": "cohere2",
                "hidden_size": 4096,
                "intermediate_size": 14336,
                "max_position_embeddings": 16384,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 8,
                "sliding_window_pattern": 4,
                "vocab_size": 256000,
            },
            "vision_config": SIGLIP | {"image_size": 364},
        },
        8_631_842_032,
        16384,
    ),
    "falcon-7b": (
        {
            "model_type": "falcon",
            "hidden_size": 4544,
            "num_attention_heads": 71,
            "num_hidden_layers": 32,
            "multi_query": True,
            "new_decoder_architecture": False,
            "vocab_size": 65024,
        },
        6_921_720_704,
        2048,
    ),
    "command-r": (
        {
            "model_type": "cohere",
            "hidden_size": 8192,
            "intermediate_size": 22528,
            "max_position_embeddings": 8192,
            "model_max_length": 131072,
            "num_attention_heads": 64,
            "num_key_value_heads": 64,
            "num_hidden_layers": 40,
            "vocab_size": 256000,
        },
        34_980_831_232,
        131072,
    ),
    "starcoder": (
        {"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40}
        | {"n_positions": 8192, "vocab_size": 49152, "multi_query": True},
        15_517_456_384,
        8192,
    ),
    "opt-350m": (
        {"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
        | {"ffn_dim": 4096, "vocab_size": 50272, "max_position_embeddings": 2048, "word_embed_proj_dim": 512},
        331_196_416,
        2048,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_are_planned_as_they_are(name: str) -> None:
    config, parameters, context = PUBLISHED[name]
    shape = shape_from_config(name, config)
    assert shape.parameters == pytest.approx(parameters, rel=0.003)
    assert shape.context == context


def test_star_coder_and_falcon_share_keys_and_values_among_all_heads() -> None:
    for name in ("starcoder", "falcon-7b"):
        assert {cache.heads for cache in shape_from_config(name, PUBLISHED[name][0]).caches} == {1}


def test_a_section_without_what_its_class_has_is_the_same_model() -> None:
    """Every decoder that vLLM was asked for, without the keys that are as in its class."""
    left_out = 0
    for name, row in MODELS.items():
        section = next((key for key in TEXT_SECTIONS if isinstance(row["config"].get(key), dict)), None)
        text = row["config"].get(section, {})
        usual = DECODERS.get(text.get("model_type", ""), {})
        if not usual or "thinker_config" in row["config"]:
            continue
        kept = {key: value for key, value in text.items() if key not in usual or usual[key] != value}
        left_out += len(text) - len(kept)
        told = shape_from_config(name, row["config"])
        assert shape_from_config(name, row["config"] | {section: kept}) == told, name
    assert left_out > 100


@pytest.mark.parametrize("key", ["seq_length", "max_sequence_length", "max_seq_length", "seq_len"])
def test_a_length_under_another_name_is_no_longer_than_that_of_the_class(key: str) -> None:
    """vLLM takes the least of all names, and a Llama has `max_position_embeddings` of 2,048 unless it is written."""
    told = {name: value for name, value in LLAMA.items() if name != "max_position_embeddings"}
    assert [shape_from_config("m", told | {key: length}).context for length in (1024, 8192)] == [1024, 2048]


@pytest.mark.parametrize("section", ["rope_scaling", "rope_parameters"])
def test_an_unknown_kind_of_rotary_scaling_is_refused_by_its_key(section: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("m", LLAMA | {section: {"rope_type": "spiral", "factor": 2.0}})
    assert [problem.path for problem in caught.value.problems] == [f"{section}.rope_type"]


def test_windows_that_a_mistral_leaves_out_are_those_of_its_class() -> None:
    config = LLAMA | {"model_type": "mistral"}
    assert {cache.reach for cache in shape_from_config("m", config).caches} == {4096}
    assert {cache.kind for cache in shape_from_config("m", config | {"sliding_window": None}).caches} == {"full"}


def test_a_config_of_its_own_must_name_its_widths() -> None:
    for key in ("hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size"):
        with pytest.raises(InputError, match=key):
            shape_from_config("m", {name: value for name, value in LLAMA.items() if name != key})


def test_encoders_of_a_model_that_nobody_knows_are_not_guessed() -> None:
    config = PUBLISHED["llava-1.5-7b"][0] | {"model_type": "new_vl"}
    with pytest.raises(InputError, match="how its encoders reach its decoder") as caught:
        shape_from_config("m", config)
    assert [problem.path for problem in caught.value.problems] == ["model_type"]
