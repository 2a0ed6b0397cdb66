"""Encoders beside a decoder: known ones by their published or built sizes, and what nobody reads is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA

from simulator.catalog.shapes.config import shape_from_config
from simulator.catalog.shapes.projectors import Between, _ernie, _isaac, _step_3
from simulator.catalog.shapes.reader import Config
from simulator.errors import InputError

CONFIGS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/vllm-shapes.json").read_text("utf-8"))["models"]
CLIP: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 980,
    "patch_size": 14,
}
RADIO: dict[str, Any] = {
    "patch_size": 16,
    "preferred_resolution": [512, 512],
    "args": {"model": "vit_huge_patch16_224", "cpe_max_size": 2048},
}
PARAKEET: dict[str, Any] = {
    "model_type": "parakeet_encoder",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_mel_bins": 128,
    "projection_hidden_size": 4096,
}


def config(**beside: Any) -> dict[str, Any]:
    return {"model_type": "llava", "text_config": LLAMA, "vision_config": CLIP, **beside}


def of_part(beside: dict[str, Any], part: str) -> int:
    """Parameters of the matrices whose names have a part, projectors apart."""
    shape = shape_from_config("m", config(projector_hidden_size=4096, **beside))
    return sum(
        matrix.parameters
        for matrix in shape.matrices
        if part in matrix.name and "merger" not in matrix.name and "projector" not in matrix.name
    )


@pytest.mark.parametrize(
    "key",
    [
        *("vit_config", "visual_tokenizer_config", "vlm_config", "sam_config"),
        *("speech_config", "audio_encoder_config", "encoder_config", "qformer_config"),
    ],
)
def test_an_encoder_in_a_section_that_nobody_reads_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=f"{key}: an encoder of this kind is not understood"):
        shape_from_config("m", config(**{key: {"hidden_size": 64}}))


@pytest.mark.parametrize(
    ("key", "section", "lacking"),
    [
        ("vision_config", {"image_size": 384}, "vision_config.hidden_size"),
        ("vision_config", {"hidden_size": 1152}, "vision_config.num_hidden_layers"),
        ("audio_config", {"num_mel_bins": 128}, "audio_config.hidden_size"),
        ("audio_config", {"d_model": 128}, "audio_config.num_hidden_layers"),
    ],
)
def test_an_encoder_whose_size_is_not_told_is_refused(key: str, section: dict[str, Any], lacking: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("m", config(**{key: section}))
    assert caught.value.problems[0].path == lacking


@pytest.mark.parametrize(("frames", "parameters"), [(1, 651_724_800), (2, 653_690_880)])
def test_radio_is_as_large_as_vllm_builds_it(frames: int, parameters: int) -> None:
    """The parameters of vLLM 0.32.0's `RadioModel`, named by its arguments or told by its own keys."""
    named = RADIO | {"video_temporal_patch_size": frames}
    told = {
        "model_type": "radio",
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "patch_size": 16,
        "video_temporal_patch_size": frames,
    }
    assert of_part({"vision_config": named}, "vision_tower") == pytest.approx(parameters, rel=0.002)
    assert of_part({"vision_config": told}, "vision_tower") == of_part({"vision_config": named}, "vision_tower")


def test_a_radio_that_nobody_knows_is_refused() -> None:
    odd = RADIO | {"args": {"model": "vit_giant"}}
    with pytest.raises(InputError, match="vit_huge_patch16_224") as caught:
        of_part({"vision_config": odd}, "vision_tower")
    assert caught.value.problems[0].path == "vision_config.args.model"


def test_parakeet_is_as_large_as_transformers_builds_it() -> None:
    """The parameters of transformers 5.19's `ParakeetEncoder`, without biases of attention and convolutions."""
    assert of_part({"sound_config": PARAKEET}, "audio_tower") == pytest.approx(608_879_616, rel=0.002)


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"version": 4.5, "vocab_size": 151748}, 8_695_895_280),
        (
            {
                "version": 2.6,
                "hidden_size": 3584,
                "intermediate_size": 18944,
                "num_hidden_layers": 28,
                "num_attention_heads": 28,
                "num_key_value_heads": 4,
                "vocab_size": 151666,
            },
            8_099_175_152,
        ),
    ],
)
def test_minicpm_v_has_its_published_parameters(changes: dict[str, Any], parameters: int) -> None:
    known = {
        "model_type": "minicpmv",
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
        "query_num": 64,
        "image_size": 448,
        "vision_config": CLIP,
    }
    assert shape_from_config("m", known | changes).parameters == pytest.approx(parameters, rel=0.001)


@pytest.mark.parametrize("version", [2.0, 3])
def test_another_version_of_minicpm_v_is_refused(version: float) -> None:
    known = LLAMA | {"model_type": "minicpmv", "version": version, "vision_config": CLIP}
    with pytest.raises(InputError, match=r"version: MiniCPM-V is known here in the versions 2\.5, 2\.6, 4\.0, 4\.5"):
        shape_from_config("m", known)


@pytest.mark.parametrize(
    ("told", "parameters"),
    [
        ({}, 9_830_400 + 4_147_200 + 1_638_400 + 655_360),
        (
            {"num_mel_bins": 65, "downsample_hidden_size": 32, "output_dim": 256},
            368_640 + 18_432 + 1_638_400 + 327_680,
        ),
    ],
)
def test_an_encoder_of_audio_of_qwen_3_begins_and_ends_as_transformers_builds_it(
    told: dict[str, Any], parameters: int
) -> None:
    """Channels × an eighth of the bins, halved and rounded up three times, to the width; two 3 × 3 convolutions of all
    channels; the width to itself, and to the model (transformers' `Qwen3OmniMoeAudioEncoderConfig`: 128, 480)."""
    section = {"model_type": "qwen3_omni_moe_audio_encoder", "d_model": 1280, "encoder_layers": 2, **told}
    layers = 2 * (4 * 1280 + 2 * 4 * 1280) * 1280
    assert of_audio(config(audio_config=section)) == layers + parameters


def test_an_encoder_of_audio_has_the_parameters_that_vllm_builds_but_for_vectors() -> None:
    """Qwen3-ASR, 24 layers of 1024 and 4096: 9 vectors of its width and an inner one for each layer, two norms, the
    biases of two projections and of three convolutions of 480."""
    known = CONFIGS["qwen3_asr"]
    decoder = shape_from_config("m", {**known["config"]["text_config"], "tie_word_embeddings": True}).parameters
    vectors = 24 * (9 * 1024 + 4096) + 2 * 1024 + 1024 + 3584 + 3 * 480 + 9 * 480
    assert of_audio(known["config"]) == known["parameters"] - decoder - vectors


def of_audio(values: dict[str, Any]) -> int:
    matrices = shape_from_config("m", {"projector_hidden_size": 4096, **values}).matrices
    return sum(matrix.parameters for matrix in matrices if matrix.name.startswith("audio_tower"))


def between(width: int, top: dict[str, Any], **encoder: Any) -> Between:
    return Between(Config(encoder), Config(top), width, 2048)


@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [
        (_isaac, between(1152, {}, pixel_shuffle_scale_factor=2), [(4 * 4608, 4608), (2048, 4 * 4608)]),
        (_isaac, between(1152, {}, pixel_shuffle_scale_factor=3), [(4 * 10_368, 10_368), (2048, 4 * 10_368)]),
        (
            _step_3,
            between(1792, {}, output_hidden_size=4096),
            [(4096, 1792 * 2 * 2), (8192, 4096 * 3 * 3), (2048, 8192)],
        ),
        (_ernie, between(1280, {"spatial_conv_size": 2}), [(5120, 5120), (5120, 5120), (2048, 5120)]),
        (
            _ernie,
            between(1280, {"spatial_conv_size": 3, "temporal_conv_size": 2, "use_temporal_conv": True}),
            [(11_520, 11_520), (11_520, 11_520), (11_520, 23_040), (11_520, 11_520), (2048, 11_520)],
        ),
    ],
)
def test_projectors_of_patches_that_are_put_side_by_side(
    sizes: Callable[[Between], Any], asked: Between, expected: list[tuple[int, int]]
) -> None:
    """`IsaacVisionEmbedding` behind its pixel shuffle, two convolutions of Step 3 and a linear matrix, and the
    `VariableResolutionResamplerModel` of Ernie, which puts frames side by side as well, as vLLM 0.32.0 builds them.
    """
    assert list(sizes(asked)) == expected
