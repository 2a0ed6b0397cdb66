"""Encoders that stand elsewhere than in a section for images: Ovis, Molmo, Phi 3.5 Vision, Kimi-Audio, MiniCPM-o."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.memory.shape import without_encoders

MODELS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text(encoding="utf-8")
)["models"]
OVIS_2_5 = {
    "model_type": "ovis2_5",
    "architectures": ["Ovis2_5"],
    "hidden_size": 4096,
    "vocab_size": 151936,
    "visual_vocab_size": 65536,
    "llm_config": {
        "model_type": "qwen3",
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 12288,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
    "vit_config": {
        "model_type": "siglip2_navit",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 512,
        "patch_size": 16,
        "num_patches": -1,
        "hidden_stride": 2,
    },
}
"""Ovis2.5-9B, of which the publisher says 9.17 billion parameters."""


def test_visual_words_are_a_head_of_the_encoder_and_a_table_that_the_decoder_reads() -> None:
    shape = shape_from_config("ovis", OVIS_2_5)
    assert shape.parameters == pytest.approx(9.17e9, rel=0.002)
    more = shape_from_config("ovis", {**OVIS_2_5, "visual_vocab_size": 65536 + 100})
    assert more.parameters - shape.parameters == 100 * (4 * 1152 + 4096)


@pytest.mark.parametrize(
    ("name", "published"),
    [("molmo", 8.02e9), ("molmo_o", 7.67e9), ("molmo2", 8.66e9), ("dots_ocr", 3.04e9), ("pangu_ultra_moe", 718e9)],
)
def test_parameters_are_those_that_publishers_tell(name: str, published: float) -> None:
    assert shape_from_config(name, MODELS[name]["config"]).parameters == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("name", ["molmo", "molmo2", "ovis", "phi3_v", "keye", "dots_ocr"])
def test_a_model_served_without_its_encoder_is_its_decoder(name: str) -> None:
    """Decoders by the widths of their configs: attention, three matrices of an MLP, embedding and head."""
    config = MODELS[name]["config"]
    text = config.get("text_config") or config.get("llm_config") or config
    hidden, width = text["hidden_size"], text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    inner = text["intermediate_size"] // (2 if name == "molmo" else 1)
    attention = 2 * hidden * width * (text["num_attention_heads"] + text["num_key_value_heads"])
    layers = text["num_hidden_layers"] * (attention + 3 * hidden * inner)
    bare = without_encoders(shape_from_config(name, config))
    assert not bare.towers
    assert bare.parameters == pytest.approx(layers + 2 * text["vocab_size"] * hidden, rel=1e-3)


def test_an_encoder_of_molmo_2_ends_with_the_last_layer_that_is_read() -> None:
    config = copy.deepcopy(MODELS["molmo2"]["config"])
    whole = shape_from_config("m", config).parameters
    config["adapter_config"]["vit_layers"] = [-4, -9]
    assert whole - shape_from_config("m", config).parameters == 4 * 1152**2 + 2 * 1152 * 4304


@pytest.mark.parametrize(
    ("name", "change", "path"),
    [
        ("phi3_v", {"img_processor": {"model_name": "own/encoder"}}, "img_processor"),
        ("phi3_v", {"embd_layer": {"projection_cls": "linear"}}, "embd_layer"),
        ("molmo2", {"adapter_config": 7}, "adapter_config"),
        ("ovis", {"visual_tokenizer_config": None}, "visual_tokenizer_config"),
    ],
)
def test_another_encoder_is_refused_by_its_key(name: str, change: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config(name, {**MODELS[name]["config"], **change})
    assert caught.value.problems[0].path == path


@pytest.mark.parametrize("layers", [True, "", "x", [], ["x"], [None], [1.5], [10**9]])
def test_layers_of_an_encoder_that_are_none_are_refused(layers: Any) -> None:
    config = copy.deepcopy(MODELS["molmo2"]["config"])
    config["adapter_config"]["vit_layers"] = layers
    with pytest.raises(InputError) as caught:
        shape_from_config("m", config)
    assert caught.value.problems[0].path == "adapter_config.vit_layers"


def test_what_stands_between_an_encoder_and_its_decoder_stays_in_16_bit() -> None:
    """As the encoders themselves do: checkpoints in fewer bits leave both alone."""
    matrices = [
        matrix
        for name, entry in MODELS.items()
        if name in ("gemma4", "minicpmo", "qwen2_audio", "qwen3_vl", "ultravox")
        for matrix in shape_from_config(name, entry["config"]).matrices
        if "_tower." in matrix.name
    ]
    between = [matrix for matrix in matrices if ".merger." in matrix.name or ".projector." in matrix.name]
    assert {matrix.name.partition(".")[0] for matrix in between} == {"audio_tower", "vision_tower"}
    assert [matrix.name for matrix in matrices if not matrix.plain] == []


def test_no_patches_side_by_side_are_refused() -> None:
    config = copy.deepcopy(MODELS["ovis"]["config"])
    config["visual_tokenizer_config"]["hidden_stride"] = 0
    with pytest.raises(InputError) as caught:
        shape_from_config("ovis", config)
    assert caught.value.problems[0].path == "visual_tokenizer_config.hidden_stride"


def test_a_backbone_that_is_not_known_is_refused_by_its_type() -> None:
    config = copy.deepcopy(MODELS["ovis"]["config"])
    config["visual_tokenizer_config"]["backbone_config"]["model_type"] = "convnext"
    with pytest.raises(InputError) as caught:
        shape_from_config("ovis", config)
    assert caught.value.problems[0].path == "visual_tokenizer_config.backbone_config.model_type"


def test_a_model_that_hears_with_whisper_has_its_encoder_and_a_projection() -> None:
    """Kimi-Audio names Whisper large by its publisher alone: 32 layers of 1,280 and 5,120, 128 bins, and matrices of
    5,120 and 3,584 inputs behind it; MiniCPM-o has its encoder in a section, which it cannot do without."""
    text = {key: MODELS["minicpmo"]["config"][key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")}
    heads = {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 168448, "max_position_embeddings": 8192}
    decoder = {**text, **heads, "tie_word_embeddings": False}
    kimi = shape_from_config("kimi", {**decoder, "model_type": "kimi_audio", "kimia_adaptor_input_dim": 5120})
    whisper = 32 * (4 * 1280**2 + 2 * 1280 * 5120) + 3 * 1280 * (128 + 1280) + 1500 * 1280
    heard = whisper + 3584 * (5120 + 3584)
    plain = shape_from_config("qwen", {**decoder, "model_type": "qwen2"})
    assert kimi.parameters - plain.parameters == heard
    heard = MODELS["minicpmo"]["config"]["audio_config"]
    without = {key: value for key, value in heard.items() if key != "num_mel_bins"}
    fewer, as_whisper, more = (
        shape_from_config("o", {**MODELS["minicpmo"]["config"], "audio_config": config}).parameters
        for config in ({**heard, "num_mel_bins": 64}, without, {**heard, "num_mel_bins": 128})
    )
    assert (as_whisper - fewer, more - as_whisper) == (3 * 16 * heard["d_model"], 3 * 48 * heard["d_model"])
    with pytest.raises(InputError) as caught:
        shape_from_config("o", {**MODELS["minicpmo"]["config"], "audio_config": None})
    assert caught.value.problems[0].path == "audio_config"
