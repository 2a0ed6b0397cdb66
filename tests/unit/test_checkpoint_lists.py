"""Formats of checkpoints by their own lists: names as they write them, heads, drafts, modules apart; bytes by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.catalog.models import model
from simulator.catalog.shapes.module_names import Ignored, Listed
from simulator.catalog.shapes.quantization import formats_of
from simulator.errors import InputError
from simulator.memory.drafts import with_head
from simulator.memory.shape import Matrix
from simulator.memory.weights import Format, Weights, matrix_bytes
from simulator.perf.device import Split
from simulator.resolve.memory import answer, shape_of
from simulator.resolve.memory_question import Question

NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}
UP = "model.layers.3.mlp.up_proj"


def matrix(name: str, **changes: Any) -> Matrix:
    return Matrix(**({"name": name, "rows": 4096, "columns": 1024, "cut": "tp"} | changes))


def written(folder: Path, name: str, section: dict[str, Any]) -> str:
    (folder / "config.json").write_text(json.dumps({**model(name).config, "quantization_config": section}))
    return str(folder)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("model.layers.3.mlp.shared_experts.up_proj", "model.layers.3.mlp.shared_expert.up_proj"),
        ("*shared_experts*", "model.layers.3.mlp.shared_expert.down_proj"),
        ("backbone.layers.0.mixer.in_proj", "model.layers.0.mamba.in_proj"),
        ("backbone.layers.5.mixer.q_proj", "model.layers.5.self_attn.q_proj"),
        ("backbone.layers.*.mixer.o_proj", "model.layers.5.self_attn.o_proj"),
        ("model.layers.0.linear_attn.in_proj_qkvz", "model.layers.0.linear_attn.in_proj_z"),
        ("model.layers.3.self_attn.qkv_proj", "model.layers.3.self_attn.v_proj"),
        ("model.layers.3.block_sparse_moe.experts.7.w1", "model.layers.3.mlp.experts.gate_proj"),
        ("language_model.model.layers.3.feed_forward.shared_expert", "model.layers.3.mlp.shared_expert.up_proj"),
        ("language_model.lm_head", "lm_head"),
        ("re:.*mixer.experts.*", "model.layers.3.mlp.experts.up_proj"),
    ],
)
def test_a_list_names_a_matrix_as_its_checkpoint_does(pattern: str, name: str) -> None:
    assert name in Ignored([pattern])
    assert "model.layers.4.self_attn.k_proj" not in Ignored([pattern])


def test_lists_of_thousands_of_experts_stand_for_their_layer() -> None:
    layers = {f"model.layers.{k}.mlp.experts.{e}.up_proj": "NVFP4" for k in range(40) for e in range(256)}
    listed = Listed(layers | {"model.layers.40.mlp.experts": "FP8", "lm_head": "W4A16_NVFP4"})
    assert listed.get("model.layers.39.mlp.experts.up_proj") == "NVFP4"
    assert listed.get("model.layers.40.mlp.experts.down_proj") == "FP8"
    assert listed.get("model.layers.39.mlp.experts.down_proj") is None
    assert listed.get("lm_head") == "W4A16_NVFP4"


def test_nvfp4_has_a_byte_of_scale_for_16_weights() -> None:
    found = formats_of(NVFP4, None)(matrix(UP))
    assert found is not None
    assert found.bytes_of(4096, 1024) == 4096 * 1024 / 2 + 4096 * 1024 / 16


@pytest.mark.parametrize(
    ("section", "of_head"),
    [
        (NVFP4, "nvfp4"),
        (NVFP4 | {"exclude_modules": ["lm_head"]}, None),
        (NVFP4 | {"ignore": ["lm_head"]}, None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True}, "int4"),
        ({"quant_method": "fp8"}, None),
    ],
)
def test_a_head_is_quantised_where_its_method_says_so(section: dict[str, Any], of_head: str | None) -> None:
    found = formats_of(section, None)(matrix("lm_head", cut="vocab"))
    assert (found.name if found else None) == of_head


def test_a_target_of_linear_layers_is_no_head() -> None:
    group = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}}
    head = {"targets": ["re:.*lm_head"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}
    section: dict[str, Any] = {"quant_method": "compressed-tensors", "config_groups": {"a": group}}
    assert formats_of(section, None)(matrix("lm_head", cut="vocab")) is None
    section["config_groups"]["b"] = head
    found = formats_of(section, None)(matrix("lm_head", cut="vocab"))
    assert found is not None
    assert found.weight_bytes == 1.0


def test_the_file_beside_an_older_export_is_its_quantization_config(tmp_path: Path) -> None:
    write_config(tmp_path, LLAMA)
    plain = shape_of(str(tmp_path), Path())
    inner = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head"]}
    beside = {"producer": {"name": "modelopt", "version": "0.29.0"}, "quantization": inner}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    found = answer(Question(str(tmp_path), "b200", max_model_len=1024))
    assert plain.quantization is None
    assert found.shape.quantization == beside
    assert found.request.kv.name == "fp8"
    (tmp_path / "hf_quant_config.json").write_text("[]")
    with pytest.raises(InputError, match="must hold an object"):
        shape_of(str(tmp_path), Path())


def test_a_mixed_checkpoint_has_the_formats_of_its_layers(tmp_path: Path) -> None:
    """Qwen3.6 27B as ModelOpt mixes it: MLPs in NVFP4, attention of both kinds in FP8, the rest in 16 bit.

    With segments that expand, so that each tensor takes its bytes.
    """
    few = {"max_model_len": 4096, "max_num_seqs": 1, "expandable_segments": True}
    layers = {
        f"model.language_model.layers.{k}.mlp.{part}": {"quant_algo": "NVFP4", "group_size": 16}
        for k in range(64)
        for part in ("gate_proj", "up_proj", "down_proj")
    }
    for k in range(64):
        full = k % 4 == 3
        parts = ("q_proj", "k_proj", "v_proj", "o_proj") if full else ("in_proj_qkv", "in_proj_z", "out_proj")
        place = "self_attn" if full else "linear_attn"
        layers |= {f"model.language_model.layers.{k}.{place}.{part}": {"quant_algo": "FP8"} for part in parts}
    section = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    found = answer(Question(written(tmp_path, "qwen3.6-27b", section), "rtx-5090", **few))
    mlps = 64 * 3 * 5120 * 17408
    full = 16 * (5120 * (12288 + 2 * 1024) + 6144 * 5120)
    linear = 48 * (5120 * (10240 + 6144) + 6144 * 5120)
    rest = found.shape.parameters - mlps - full - linear
    by_hand = mlps * (0.5 + 1 / 16) + full + linear + 2 * rest
    assert found.plan.terms.weight_bytes == pytest.approx(by_hand, rel=0.006)  # and buffers
    section["quantized_layers"] = layers | {"lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16}}
    asked = Question(written(tmp_path, "qwen3.6-27b", section), "rtx-a6000", **few)
    logged = 19.75 * 2**30  # Qwen3.8 27B, of the same shape, with 193 modules in NVFP4 and 208 in FP8
    assert answer(asked).plan.terms.weight_bytes == pytest.approx(logged, rel=0.002)


def test_drafts_have_the_format_that_the_lists_give_them() -> None:
    shape = shape_of("qwen3.6-27b", Path())
    mtp = "draft.model.layers.63.mlp.up_proj"

    def of(section: dict[str, Any]) -> Format | None:
        _, weights = with_head(shape, Weights(formats_of(section, None)), "mtp", 0)
        return weights.format_of(matrix(mtp))

    every = {"model.layers.63.mlp.up_proj": {"quant_algo": "NVFP4"}}
    mixed = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": every}
    own = {"quantized_layers": every | {"mtp.layers.0.mlp": {"quant_algo": "FP8"}}}
    assert of(NVFP4) is not None
    assert of(NVFP4 | {"exclude_modules": ["mtp*"]}) is None
    assert of(NVFP4 | {"exclude_modules": ["model.layers.64*"]}) is None
    assert of(NVFP4 | {"exclude_modules": ["model.layers.63*"]}) is not None
    assert of(mixed) is None
    found = of(mixed | own)
    assert found is not None
    assert found.name == "fp8"


def test_modules_with_bits_of_their_own() -> None:
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}
    dynamic = formats_of(gptq | {"dynamic": {r"+:.*down_proj": {"bits": 8}, r"-:.*k_proj": {}}}, None)
    bytes_of = {
        name: found and found.weight_bytes
        for name in (UP, "model.layers.3.mlp.down_proj", "model.layers.3.self_attn.k_proj")
        for found in [dynamic(matrix(name))]
    }
    assert list(bytes_of.values()) == [0.5, 1.0, None]
    extra = {"model.layers.3.mlp.up_proj": {"bits": 16}, ".*down_proj": {"bits": 8, "group_size": 32}}
    rounded = formats_of(gptq | {"quant_method": "auto-round", "extra_config": extra}, None)
    assert rounded(matrix(UP)) is None
    found = rounded(matrix("model.layers.9.mlp.down_proj"))
    assert found is not None
    assert (found.weight_bytes, found.group) == (1.0, (1, 32))


def test_an_order_of_groups_takes_an_index_of_each_input() -> None:
    """Marlin keeps `g_idx` and the order by it, 4 bytes each of 1,024 inputs; scales of 2; no zeros if symmetric."""
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": True}
    held = matrix_bytes(matrix(UP), Weights(formats_of(gptq, None)), Split(), 2)
    assert held == 4096 * 1024 / 2 + 4096 * 8 * 2 + 1024 * 8
    asymmetric = matrix_bytes(
        matrix(UP), Weights(formats_of(gptq | {"sym": False, "desc_act": False}, None)), Split(), 2
    )
    assert asymmetric == 4096 * 1024 / 2 + 4096 * 8 * (2 + 0.5)


@pytest.mark.parametrize(
    "section",
    [
        {"quant_method": "gptq", "bits": "four"},
        {"quant_method": "gptq", "dynamic": {"+:.*": {"bits": ["x"]}}},
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {"lm_head": "FP8"}},
        {"quant_method": "fp8", "weight_block_size": ["a", 128]},
    ],
)
def test_values_of_a_wrong_type_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="wrong type"):
        formats_of(section, None)


def test_a_mixed_checkpoint_without_layers_is_refused() -> None:
    with pytest.raises(InputError, match="no layers"):
        formats_of({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, None)


QUARK = {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}}
BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
V4 = {**FP8, "expert_dtype": "fp4", "ignore": ["*.self_attn.*"]}
OF_ATTENTION, OF_EXPERTS = (
    matrix("model.layers.3.self_attn.q_proj"),
    matrix("model.layers.3.mlp.up_proj", cut="experts"),
)


@pytest.mark.parametrize(
    ("section", "of_attention", "of_experts"),
    [
        (QUARK, 0.53125, 0.53125),
        (QUARK | {"layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3"}}}}, 1.0, 0.53125),
        (QUARK | {"layer_quant_config": {"*self_attn*": {"weight": None}}}, 2.0, 0.53125),
        (
            QUARK | {"global_quant_config": {"weight": [{"dtype": "fp4", "group_size": 16}, {"dtype": "fp8_e4m3"}]}},
            0.5625,
            0.5625,
        ),
        (BNB | {"llm_int8_skip_modules": ["self_attn"]}, 2.0, 0.5625),
        (GPTQ | {"modules_in_block_to_quantize": [["self_attn.q_proj"], ["self_attn.o_proj"]]}, 0.515625, 2.0),
        (GPTQ | {"modules_in_block_to_quantize": None}, 0.515625, 0.515625),
        (V4, 1 + 4 / 128**2, 0.53125),
        (V4 | {"moe_quant_algo": "NVFP4"}, 1 + 4 / 128**2, 0.5625),
        (FP8 | {"routed_experts_quant_method": "mxfp4"}, 1 + 4 / 128**2, 0.53125),
        (FP8 | {"store_dtype": "mxfp4"}, 1 + 4 / 128**2, 0.53125),
        ({"quant_method": "compressed_tensors", "config_groups": {"a": {"weights": {"num_bits": 8}}}}, 1.002, 1.002),
    ],
)
def test_bytes_of_a_weight_where_a_checkpoint_sets_modules_apart(
    section: dict[str, Any], of_attention: float, of_experts: float
) -> None:
    """By hand: 4 bits and their share of a scale of 16 or 32 weights in a byte, of 64 in four, of 128 in two."""
    chosen = formats_of(section, None)
    for asked, expected in ((OF_ATTENTION, of_attention), (OF_EXPERTS, of_experts)):
        found = chosen(asked)
        held = 2.0 if found is None else found.bytes_of(4096, 1024) / (4096 * 1024)
        assert held == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("expert_dtype", "expert_dtype"),
        ("routed_experts_quant_method", "quantization_config.routed_experts_quant_method"),
        ("store_dtype", "quantization_config.store_dtype"),
    ],
)
def test_an_unknown_format_of_experts_is_refused_by_its_key(key: str, path: str) -> None:
    with pytest.raises(InputError) as caught:
        formats_of({**FP8, key: "int3"}, None)
    assert [problem.path for problem in caught.value.problems] == [path]


INT4 = {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}
FLOAT8 = {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}}


def torchao_section(default: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"quant_method": "torchao", "quant_type": {"default": default}} | more


@pytest.mark.parametrize(
    ("section", "of_attention", "of_mlp"),
    [
        (torchao_section(INT4), 0.5 + 4 / 128, 0.5 + 4 / 128),
        (torchao_section(FLOAT8), 1 + 4 / 1024, 1 + 4 / 1024),
        (torchao_section(FLOAT8, modules_to_not_convert=["self_attn"]), 2.0, 1 + 4 / 1024),
        (
            torchao_section(
                {
                    "_type": "ModuleFqnToConfig",
                    "_data": {"module_fqn_to_config": {"_default": INT4, r"re:.*self_attn.*": None}},
                }
            ),
            2.0,
            0.5 + 4 / 128,
        ),
    ],
)
def test_torchao_quantises_linear_layers_and_nothing_else(
    section: dict[str, Any], of_attention: float, of_mlp: float
) -> None:
    chosen = formats_of(section, None)
    for name, expected in (("model.layers.3.self_attn.q_proj", of_attention), (UP, of_mlp)):
        found = chosen(matrix(name))
        held = 2.0 if found is None else found.bytes_of(4096, 1024) / (4096 * 1024)
        assert held == pytest.approx(expected, rel=1e-6)
    assert chosen(OF_EXPERTS) is None
    assert chosen(matrix("lm_head", cut="vocab")) is None


@pytest.mark.parametrize(
    ("section", "path"),
    [
        (
            torchao_section({"_type": "Int8DynamicActivationInt4WeightConfig"}),
            "quantization_config.quant_type.default",
        ),
        ({"quant_method": "torchao"}, "quantization_config.quant_type.default"),
        (
            {"quant_method": "compressed-tensors", "format": "marlin-24", "config_groups": {"a": {"weights": {}}}},
            "quantization_config.format",
        ),
        (V4 | {"moe_quant_algo": "INT3"}, "quantization_config.moe_quant_algo"),
        (
            QUARK | {"layer_quant_config": {"*q_proj": {"weight": {"dtype": "int3"}}}},
            "quantization_config.layer_quant_config.*q_proj.weight.dtype",
        ),
        (
            QUARK | {"global_quant_config": {"weight": [{"dtype": "fp8_e4m3"}, {"dtype": "int4"}]}},
            "quantization_config.global_quant_config.weight.dtype",
        ),
    ],
)
def test_a_type_of_modules_set_apart_that_nobody_knows_is_refused_at_its_place(
    section: dict[str, Any], path: str
) -> None:
    with pytest.raises(InputError) as caught:
        formats_of(section, None)
    assert caught.value.problems[0].path == path


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, float("inf")]}, "weight_block_size must be two whole"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size must be two whole"),
        ({"quant_method": "fp8", "weight_block_size": [0, 128]}, "weight_block_size must be two whole"),
        ({"quant_method": "awq", "bits": 10**30, "group_size": 128}, "bits must be a whole number from 1 to 64"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 1e-300}, "group_size must be a whole number from -1"),
        ({"quant_method": "gptq", "bits": 4, "dynamic": {"+:x": {"bits": 0.5}}}, "bits must be a whole number"),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": -7}}},
            },
            "group_size must be a whole number from -1",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": -4}}}},
            "num_bits must be a whole number from 1 to 64",
        ),
    ],
)
def test_bits_groups_and_blocks_are_numbers_wherever_they_stand(
    section: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        answer(Question(model=written(tmp_path, "qwen3-8b", section), gpu="h100-sxm"))


def test_bitsandbytes_stores_4_bits_unless_8_are_asked_for() -> None:
    """`BitsAndBytesConfig.from_config` of vLLM takes 4 bits where neither key is there."""
    stored = {
        frozenset(told): formats_of({"quant_method": "bitsandbytes"} | told, None)(matrix(UP)).weight_bytes
        for told in ({}, {"load_in_4bit": True}, {"load_in_8bit": True})
    }
    assert stored == {frozenset(): 0.5, frozenset({"load_in_4bit"}): 0.5, frozenset({"load_in_8bit"}): 1.0}
