"""Shapes read from configs against the modules that vLLM itself builds from them: every layer's cache, all weights."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.shapes.config import shape_from_config
from simulator.catalog.vllm import rules
from simulator.errors import InputError
from simulator.memory.cache import pages
from simulator.memory.kv_format import IN_16_BIT
from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights, matrix_bytes, weight_bytes_by_stage
from simulator.perf.device import Split

MODELS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text(encoding="utf-8")
)["models"]
REFUSED = {
    "hrm_text": "model_type",
    "inkling_mm_model": "text_config.model_type",
}
"""Models that vLLM serves and nothing here knows, with the key that says so."""
LOOSE = {"cosmos3_edge": 0.03, "gemma3n_text": 0.005}
"""Models whose weights are known less well than to 0.3 %."""
PLANNED = sorted(MODELS.keys() - REFUSED.keys())


def planned(name: str) -> ModelShape:
    return shape_from_config(name, MODELS[name]["config"])


def caches(shape: ModelShape) -> Counter[tuple[str, float, int]]:
    """Kind, bytes of a token or of a state, and reach of each cache, as the plan of 0.32.0 has them."""
    found = pages(shape, Split(), rules("0.32.0", shape), IN_16_BIT, 16, 0)
    return Counter(
        (page.kind, page.size / (1 if page.kind == "ring" else cache.tokens_per_row), page.reach)
        for page, cache in zip(found, shape.caches, strict=True)
    )


@pytest.mark.parametrize("name", PLANNED)
def test_caches_weights_and_context_are_those_of_vllm(name: str) -> None:
    """Biases, norms of heads and classes of encoders are not told apart: weights within 0.3 %."""
    row, shape = MODELS[name], planned(name)
    assert caches(shape) == {(kind, float(size), reach): count for count, kind, size, reach in row["caches"]}
    assert shape.parameters == pytest.approx(row["parameters"], rel=LOOSE.get(name, 0.003))
    assert shape.context == row["max_model_len"]


@pytest.mark.parametrize("name", PLANNED)
def test_towers_lie_on_the_first_stage_of_a_pipeline_however_many_layers_they_have(name: str) -> None:
    shape, weights = planned(name), Weights(lambda matrix: None)
    towers = [matrix for matrix in shape.matrices if "tower" in matrix.name]
    without = replace(shape, matrices=tuple(matrix for matrix in shape.matrices if matrix not in towers))
    first_bytes, last_bytes = weight_bytes_by_stage(shape, weights, Split(pp=2))
    theirs = sum(matrix_bytes(matrix, weights, Split(pp=2), shape.dtype_bytes) for matrix in towers)
    assert weight_bytes_by_stage(without, weights, Split(pp=2)) == pytest.approx([first_bytes - theirs, last_bytes])


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("qwen3_next", "delta_rule"), ("olmo_hybrid", ""), ("mamba", ""), ("mamba2", "mamba2")],
)
def test_kernels_that_save_a_state_amid_a_prefill_are_those_of_the_layers_class(name: str, kernel: str) -> None:
    """`QwenGatedDeltaNetAttention` and `MambaMixer2` do, OLMo's class does not (vLLM 0.33.0)."""
    assert {cache.saves for cache in planned(name).caches if cache.kind == "state"} == {kernel}


@pytest.mark.parametrize(("name", "path"), REFUSED.items())
def test_what_is_not_understood_is_refused_by_its_key(name: str, path: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(name)
    assert caught.value.problems[0].path == path


@pytest.mark.parametrize("section", ["qformer_config", "encoder_config", "speech_config", "sam_config"])
def test_a_section_of_an_encoder_that_nobody_reads_is_refused(section: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("own", {**MODELS["qwen2"]["config"], section: {"hidden_size": 64}})
    assert [problem.path for problem in caught.value.problems] == [section]


@pytest.mark.parametrize("key", ["timm_model_ids", "vision_backbone_id", "mm_vision_tower"])
def test_an_encoder_that_is_named_and_not_sized_is_refused(key: str) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config("own", {**MODELS["qwen2"]["config"], key: "openai/clip-vit-large-patch14-336"})
    assert [problem.path for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(("name", "section"), [("blip-2", "qformer_config"), ("granite_speech", "projector_config")])
def test_queries_that_read_the_encoder_in_every_layer_are_more_weights(name: str, section: str) -> None:
    """Twelve layers of 768 read an encoder of 1,408: six more of them, each two matrices of each width."""
    config = MODELS[name]["config"]
    every = {**config, section: {**config[section], "cross_attention_frequency": 1}}
    assert shape_from_config("q", every).parameters - planned(name).parameters == 6 * 2 * 768 * (768 + 1408)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("jamba", "attn_layer_period", 0),
        ("jamba", "expert_layer_period", 0),
        ("mamba", "expand", "x"),
        ("mamba", "state_size", float("nan")),
        ("mamba2", "head_dim", float("nan")),
        ("zamba2", "hybrid_layer_ids", ["x"]),
        ("zamba2", "hybrid_layer_ids", 0),
        ("laguna", "num_attention_heads_per_layer", 0),
        ("internvl", "downsample_ratio", 0),
    ],
)
def test_a_key_that_holds_what_it_cannot_is_refused_at_its_place(name: str, key: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config(name, {**MODELS[name]["config"], key: value})
    assert caught.value.problems[0].path == key


@pytest.mark.parametrize("name", ["minicpm3", "zamba2"])
def test_a_model_without_heads_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        shape_from_config(name, {**MODELS[name]["config"], "num_attention_heads": 0})


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("qwen2", "is_causal", False),
        ("gemma3_text", "use_bidirectional_attention", True),
        ("minimax_m2_listed", "attn_type_list", [0] + [1] * 61),
        ("hunyuan_v1_dense", "use_cla", True),
        ("mimo_v2_flash_chunk", "attention_chunk_size", 256),
        ("glm_moe_dsa_shared", "num_experts", 128),
        ("lfm2_block", "full_attn_idxs", ["x"]),
        ("falcon_h1", "mamba_d_head", "wide"),
    ],
)
def test_a_key_that_changes_caches_and_is_not_known_so_is_refused(name: str, key: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        shape_from_config(name, {**MODELS[name]["config"], key: value})
    told = {"use_cla": "cla_share_factor", "num_experts": "n_routed_experts"}.get(key, key)
    assert told in {problem.path for problem in caught.value.problems}


def test_a_type_of_its_own_is_read_by_its_class() -> None:
    """Engines choose a model by its class: DeepSeek V3 under a name of its own is DeepSeek V3."""
    config = {**MODELS["deepseek_v3"]["config"], "model_type": "deepseek_ref"}
    assert shape_from_config("own", config).matrices == planned("deepseek_v3").matrices
    with pytest.raises(InputError, match="not known here"):
        shape_from_config("own", {**config, "architectures": ["OwnForCausalLM"]})


def test_a_head_of_mamba_as_wide_as_auto_leaves_it() -> None:
    config = MODELS["falcon_h1"]["config"]
    given = {**config, "mamba_d_head": config["mamba_d_ssm"] // config["mamba_n_heads"]}
    left = {**config, "mamba_d_head": "auto"}
    assert shape_from_config("a", left).matrices == shape_from_config("a", given).matrices


def test_short_convolutions_by_the_older_list_of_layers() -> None:
    """LFM2-1.2B as published: 6 of 16 layers keep tokens, 8 heads of 64 in keys and values of 2 bytes."""
    shape = planned("lfm2_block")
    assert (
        sum(cache.heads * (cache.head_dim + cache.value_dim) * 2 for cache in shape.caches if cache.kind == "full")
        == 12288
    )


def test_a_type_that_nobody_knows_is_refused_before_its_keys() -> None:
    config = {"model_type": "ernie9", "depth": [1, 1], "hidden_size": 2560}
    with pytest.raises(InputError, match="not known here") as caught:
        shape_from_config("ernie", config)
    assert [problem.path for problem in caught.value.problems] == ["model_type"]
    with pytest.raises(InputError) as caught:
        shape_from_config("ernie", {**config, "model_type": "ernie4_5_moe"})
    assert [problem.path for problem in caught.value.problems] == ["depth"]


@pytest.mark.parametrize(
    ("model_type", "key", "value"),
    [
        ("ernie4_5_moe", "moe_layer_start_index", [1, 1]),
        ("ernie4_5_moe_vl", "moe_layer_start_index", [1, 2]),
        ("ernie4_5_moe_vl", "moe_layer_start_index", 1),
        ("ernie4_5_moe_vl", "moe_num_experts", [64, 32, 16]),
        ("ernie4_5_moe_vl", "moe_intermediate_size", 1536),
        ("ernie4_5_moe_vl", "moe_layer_end_index", ["x", 1]),
    ],
)
def test_lists_for_text_and_images_stand_where_experts_are_told_apart(model_type: str, key: str, value: Any) -> None:
    name = "ernie4_5_moe_vl"
    config = MODELS[name]["config"] | {"model_type": model_type, key: value, "architectures": ["Ernie"]}
    if model_type != name:
        config |= {"moe_num_experts": 64, "moe_intermediate_size": 1536}
    with pytest.raises(InputError) as caught:
        shape_from_config("ernie", config)
    assert [problem.path for problem in caught.value.problems] == [key]


NEVER_QUANTISED = ("conv", "conv1d", "norm", "layernorm", "layernorms", "embed_tokens", "positions", "patch_embed")


@pytest.mark.parametrize("name", PLANNED)
def test_embeddings_norms_and_convolutions_are_never_quantised_and_projections_are(name: str) -> None:
    """vLLM's modules of these have no `quant_config`; glm5_next's attention is left alone as a whole."""
    ends = {matrix.name: matrix.name.rpartition(".")[2] for matrix in planned(name).matrices}
    plain = {matrix.name for matrix in planned(name).matrices if matrix.plain}
    assert {each for each, end in ends.items() if end.endswith(NEVER_QUANTISED)} <= plain
    if name != "glm5_next":
        assert not {each for each, end in ends.items() if end in ("q_proj", "k_proj", "v_proj", "o_proj")} & plain


def widths(shape: ModelShape, part: str) -> dict[str, tuple[int, int]]:
    return {matrix.name: (matrix.rows, matrix.columns) for matrix in shape.matrices if part in matrix.name}


def test_images_have_a_router_of_their_own_in_every_layer_with_experts() -> None:
    """`vision_experts_gate` of `Ernie4_5_VLMoeMoE`, vLLM 0.32.0: in layers from the first to the last with experts."""
    config = MODELS["ernie4_5_moe_vl"]["config"] | {"moe_num_experts": [64, 32]}
    routers = widths(shape_from_config("ernie", config), "mlp.gate.weight_1")
    assert routers == {f"model.layers.{layer}.mlp.gate.weight_1": (32, 2560) for layer in range(1, 28)}


def test_residual_streams_are_mixed_before_attention_and_experts_of_every_layer() -> None:
    """`hc_fn` of `HYV4HCPreLayer`, vLLM 0.32.0: two weights of each stream, in fp32, from all streams at once."""
    config = MODELS["hy_v4"]["config"]
    mixed = widths(shape_from_config("hy", config), ".hc_")
    assert mixed == {
        f"model.layers.{layer}.hc_{part}_fn": (2 * 4, 4 * 2816) for layer in range(34) for part in ("attn", "mlp")
    }
    assert {m.value_bytes for m in shape_from_config("hy", config).matrices if m.name in mixed} == {4}
    assert widths(shape_from_config("hy", config | {"enable_ihc": False}), ".hc_") == {}
