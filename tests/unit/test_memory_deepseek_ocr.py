"""DeepSeek-OCR: two encoders side by side, and plain attention under the keys of latent attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import write_config

from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.memory.shape import ModelShape
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question

SAM = {"downsample_channels": [512, 1024], "global_attn_indexes": [2, 5, 8, 11], "heads": 12, "layers": 12}
CLIP = {"heads": 16, "image_size": 224, "layers": 24, "patch_size": 14, "width": 1024}
ENCODERS = {"clip-l-14-224": CLIP, "sam_vit_b": SAM | {"width": 768}}
PROJECTOR = {"input_dim": 2048, "model_type": "mlp_projector", "n_embed": 1280, "projector_type": "linear"}
DECODER = {
    "vocab_size": 129280,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "moe_intermediate_size": 896,
    "num_hidden_layers": 12,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 8192,
    "kv_lora_rank": None,
    "q_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "v_head_dim": 0,
}


def config(encoders: dict[str, Any] = ENCODERS, **projector: object) -> dict[str, Any]:
    """The published `config.json`, whose decoder's keys stand in it twice."""
    vision = {"image_size": 1024, "mlp_ratio": 3.7362, "model_type": "vision", "width": encoders}
    top = {"architectures": ["DeepseekOCRForCausalLM"], "model_type": "deepseek_vl_v2", "torch_dtype": "bfloat16"}
    return (
        top | DECODER | {"language_config": DECODER, "vision_config": vision, "projector_config": PROJECTOR | projector}
    )


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return shape_from_config("ocr", config())


def test_weights_are_those_of_the_published_index(shape: ModelShape) -> None:
    """`total_size` of `model.safetensors.index.json` is 6,672,212,480 bytes, two a weight."""
    assert shape.parameters == pytest.approx(6_672_212_480 / 2, rel=0.0005)


@pytest.mark.parametrize("rank", [None, 512])
def test_heads_without_latent_widths_are_plain(rank: int | None) -> None:
    """12 layers of keys and values of 10 heads of 128 in 16 bits are 61,440 bytes a token, as logs of vLLM have it."""
    plain = shape_from_config("ocr", config() | {"language_config": DECODER | {"kv_lora_rank": rank}})
    assert {cache.kind for cache in plain.caches} == {"full"}
    assert sum(2 * 2 * cache.heads * cache.head_dim for cache in plain.caches) == 61440


def test_sam_stands_whole_on_every_gpu_and_clip_is_cut(shape: ModelShape) -> None:
    cuts = {side: {m.cut for m in shape.matrices if f"{side}.blocks" in m.name} for side in ("sam", "clip")}
    assert cuts == {"sam": {"whole"}, "clip": {"tp"}}


def test_images_are_encoded_one_after_the_other(tmp_path: Path) -> None:
    """More images in a step take no more encoder at once: the peak that is not the decoder's stays."""
    model = str(write_config(tmp_path, config()))
    peaks = [
        answer(Question(model, "h100-sxm", max_num_batched_tokens=tokens, max_num_seqs=1)).plan.terms.activation_bytes
        for tokens in (656, 2 * 656)
    ]
    assert peaks[0] == peaks[1]


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        (config({"dino-b": {"dim": 896}, "sam_vit_b": ENCODERS["sam_vit_b"]}), "vision_config.width"),
        (config({"sam_vit_b": ENCODERS["sam_vit_b"]}), "vision_config.width"),
        (config(projector_type="downsample_mlp_gelu"), "projector_config.projector_type"),
    ],
)
def test_other_encoders_side_by_side_are_refused(broken: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("other", broken)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_the_second_version_reads_with_a_decoder_of_qwen2() -> None:
    """DeepSeek-OCR 2: 3.39 billion parameters are published; 24 layers of 896 stand where CLIP stood."""
    encoders = {"qwen2-0-5b": {"dim": 896}, "sam_vit_b": SAM | {"width": 768}}
    second = shape_from_config("ocr-2", config(encoders, input_dim=896))
    assert second.parameters == pytest.approx(3.39e9, rel=0.003)
    layers = [matrix for matrix in second.matrices if ".qwen2.blocks." in matrix.name]
    attention, mlp = 2 * 896**2 + 2 * 128 * 896, 3 * 896 * 4864
    assert sum(matrix.parameters for matrix in layers) == 24 * (attention + mlp)
