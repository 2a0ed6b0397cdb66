"""The memory plan in a run: what vLLM's start-up finds sizes replicas; formats of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.errors import InputError
from simulator.resolve.engines import plan_engine
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings

EXPERTS = {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 1024}


def scheme(activations: bool, **weights: Any) -> dict[str, Any]:
    inputs = {"num_bits": 8} if activations else None
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "ignore": ["lm_head"]}


def written(folder: Path, section: dict[str, Any], **changes: Any) -> str:
    return str(write_config(folder, LLAMA | changes | {"quantization_config": section}))


@pytest.mark.parametrize(
    ("section", "changes", "weights"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, {}, "fp8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, {}, "int4"),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, {}, "w8a16"),
        (scheme(True, num_bits=8, type="float"), {}, "fp8"),
        (scheme(False, num_bits=8, type="float"), {}, "w8a16"),
        (scheme(True, num_bits=8, type="int"), {}, "int8"),
        (scheme(False, num_bits=4, type="int", group_size=128), {}, "int4"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}}}, {}, "int4"),
        ({"quant_method": "mxfp4"}, EXPERTS, "mxfp4"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["*"]}, {}, "bf16"),
    ],
)
def test_a_run_takes_the_format_of_the_checkpoint(
    tmp_path: Path, section: dict[str, Any], changes: dict[str, Any], weights: str
) -> None:
    planned = plan_engine(written(tmp_path, section, **changes), "h100-sxm", 1, 1, EngineSettings(), tmp_path)
    assert planned.layout.weights.name == weights
    assert planned.layout.kv_value_bytes == 2.0


def test_a_run_takes_the_kv_cache_of_the_checkpoint_unless_told(tmp_path: Path) -> None:
    name = written(tmp_path, scheme(True, num_bits=8, type="float") | {"kv_cache_scheme": {"num_bits": 8}})
    own = plan_engine(name, "h100-sxm", 1, 1, EngineSettings(), tmp_path)
    told = plan_engine(name, "h100-sxm", 1, 1, EngineSettings(kv_cache_dtype="bfloat16"), tmp_path)
    assert (own.layout.kv_value_bytes, told.layout.kv_value_bytes) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("section", "got"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 3, "group_size": 128}, "int3"),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}, "input_tensors": {"a": 1}}},
            "mxfp4",
        ),
    ],
)
def test_a_format_without_a_step_time_is_refused_at_its_place(
    tmp_path: Path, section: dict[str, Any], got: str
) -> None:
    name = written(tmp_path, section)
    with pytest.raises(InputError) as caught:
        plan_engine(name, "h100-sxm", 1, 1, EngineSettings(), tmp_path)
    problem = caught.value.problems[0]
    assert (problem.path, problem.got) == ("quantization_config", got)
    assert problem.file == f"{tmp_path}/config.json"


def mixed(down: str, up: str) -> dict[str, Any]:
    layers = {f"model.layers.{k}.mlp.{part}": {"quant_algo": up} for k in range(8) for part in ("gate_proj", "up_proj")}
    layers |= {f"model.layers.{k}.mlp.down_proj": {"quant_algo": down} for k in range(8)}
    return {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


@pytest.mark.parametrize(("down", "up", "most"), [("FP8", "NVFP4", "fp4"), ("NVFP4", "FP8", "fp8")])
def test_a_run_of_several_formats_takes_that_of_most_weights_and_says_so(
    tmp_path: Path, down: str, up: str, most: str
) -> None:
    name = written(tmp_path, mixed(down, up))
    planned = plan_engine(name, "b200", 1, 1, EngineSettings(), tmp_path)
    assert planned.layout.weights.name == most
    assert any("(fp4 67%, fp8 33%" in note or "(fp4 33%, fp8 67%" in note for note in planned.notes)
    terms = answer(Question(name, "b200", folder=tmp_path)).plan.terms
    assert planned.memory.plan.terms.weight_bytes == terms.weight_bytes


def test_a_second_format_without_a_step_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mxfp4 for experts alone") as caught:
        plan_engine(written(tmp_path, mixed("FP8", "MXFP4")), "b200", 1, 1, EngineSettings(), tmp_path)
    assert caught.value.problems[0].got == "mxfp4"


def test_another_format_than_the_checkpoints_is_refused_as_vllm_does(tmp_path: Path) -> None:
    name = written(tmp_path, {"quant_method": "fp8"})
    for other in ("awq", "none", "mxfp4", "int8"):
        with pytest.raises(InputError, match="says fp8"):
            plan_engine(name, "h100-sxm", 1, 1, EngineSettings(quantization=other), tmp_path)
    marlin = plan_engine(name, "a100-80", 1, 1, EngineSettings(quantization="w8a16"), tmp_path)
    assert marlin.layout.weights.compute == "bf16"


def test_a_hybrid_model_says_what_its_step_time_does_not_know() -> None:
    settings = EngineSettings(max_num_seqs=128, max_model_len=32768)
    planned = plan_engine("qwen3.6-27b", "h100-sxm", 1, 1, settings, Path())
    plan = answer(Question("qwen3.6-27b", "h100-sxm", max_num_seqs=128, max_model_len=32768)).plan
    assert (planned.memory.num_blocks, planned.memory.block_size) == (plan.num_blocks, 832)
    of_request = -(-32768 // 832) + 3 * 3
    assert plan.kv_tokens == int(plan.num_blocks / of_request * 32768)
    assert any("Gated DeltaNet" in note for note in planned.notes)
    with pytest.raises(InputError, match="max_num_seqs"):
        plan_engine("qwen3.6-27b", "h100-sxm", 1, 1, EngineSettings(), Path())


def test_a_length_that_was_not_asked_for_is_cut_to_what_fits() -> None:
    planned = plan_engine("llama-4-scout", "h200", 4, 1, EngineSettings(), Path())
    assert 0 < planned.memory.max_model_len < 10485760


def test_a_model_known_whole_has_no_warning() -> None:
    assert plan_engine("llama-3.1-8b", "h100-sxm", 1, 1, EngineSettings(), Path()).notes == ()


def test_weights_that_are_unquantised_by_hand_are_so_in_the_plan() -> None:
    settings = EngineSettings(max_model_len=8192, quantization="none")
    planned = plan_engine("deepseek-v3.2", "b200", 8, 2, settings, Path())
    sixteen = answer(Question("deepseek-v3.2", "b200", tp=8, pp=2, dtype="bf16", max_model_len=8192)).plan
    assert planned.memory.plan.terms.weight_bytes == sixteen.terms.weight_bytes


@pytest.mark.parametrize(
    ("model", "gpu", "tp"), [("qwen3-8b", "l4", 1), ("llama-3.1-70b", "h100-sxm", 4), ("deepseek-v3", "h200", 8)]
)
def test_a_run_has_the_blocks_that_servecast_memory_prints(model: str, gpu: str, tp: int) -> None:
    settings = EngineSettings(max_model_len=8192, version="0.31.0")
    planned = plan_engine(model, gpu, tp, 1, settings, Path())
    found = answer(Question(model, gpu, tp=tp, max_model_len=8192, version="0.31.0")).plan
    assert (planned.config.num_blocks, planned.memory.block_bytes) == (found.num_blocks, found.terms.block_bytes)
    assert planned.weight_bytes_total == tp * found.terms.weight_bytes
    assert planned.notes == ("version: the scheduler's rules are those of vLLM 0.32.0: none of 0.31.0 was recorded",)


def test_the_share_of_memory_that_is_left_out_is_the_versions() -> None:
    def usable(version: str, **given: float) -> float:
        planned = plan_engine("llama-3.1-8b", "a100-80", 1, 1, EngineSettings(version=version, **given), Path())
        return planned.memory.plan.terms.usable_bytes / planned.memory.plan.terms.total_bytes

    assert (usable("0.11.0"), usable("0.33.0")) == (pytest.approx(0.9), pytest.approx(0.92))
    assert usable("0.11.0", gpu_memory_utilization=0.92) == pytest.approx(0.92)


def test_an_engine_that_vllm_would_not_start_is_refused_with_what_would() -> None:
    with pytest.raises(InputError, match=r"phi-3.5-moe does not start on a100-40 with tp=2: .*would start.*tp=4"):
        plan_engine("phi-3.5-moe", "a100-40", 2, 1, EngineSettings(), Path())


def test_limits_that_are_left_out_are_those_of_the_engines_version() -> None:
    old, new = (
        plan_engine("llama-3.1-8b", "b200", 1, 1, EngineSettings(version=version), Path()).config
        for version in ("0.11.0", "0.33.0")
    )
    assert (old.max_num_batched_tokens, new.max_num_batched_tokens) == (8192, 16384)


@pytest.mark.parametrize("version", ["0.8.5", "0.19.0", "0.33.0"])
def test_a_gb10_does_not_say_its_memory_and_gets_the_smallest_limits(version: str) -> None:
    """2,048 tokens and 256 sequences, as logged on one (https://github.com/vllm-project/vllm/pull/57378)."""
    config = plan_engine("llama-3.1-8b", "gb10", 1, 1, EngineSettings(version=version), Path()).config
    assert (config.max_num_batched_tokens, config.max_num_seqs) == (2048, 256)


def test_without_prefix_caching_a_state_is_kept_once() -> None:
    kept = {"max_num_seqs": 128, "max_model_len": 4096, "version": "0.32.0"}
    twice, once = (
        plan_engine("qwen3.6-27b", "h100-sxm", 1, 1, EngineSettings(**kept, enable_prefix_caching=switch), Path())
        for switch in (True, False)
    )
    assert once.memory.num_blocks == twice.memory.num_blocks
    assert once.memory.plan.max_concurrency > twice.memory.plan.max_concurrency


def test_one_group_of_layers_has_the_blocks_of_its_layers() -> None:
    """DeepSeek V3.2: 61 layers with a latent of 512 + 64 in 16 bit, and an indexer's 128 bytes with a scale of 4."""
    planned = plan_engine("deepseek-v3.2", "h200", 8, 1, EngineSettings(max_model_len=8192), Path())
    assert planned.memory.block_bytes == 61 * (576 * 2 + 132) * 16


def test_larger_graphs_leave_fewer_blocks_where_they_are_in_the_budget() -> None:
    def blocks(version: str, most: int | None) -> int:
        settings = EngineSettings(version=version, max_cudagraph_capture_size=most)
        return plan_engine("llama-3.1-8b", "h100-sxm", 1, 1, settings, Path()).memory.num_blocks

    assert blocks("0.32.0", 8) > blocks("0.32.0", None) == blocks("0.32.0", 512) > blocks("0.32.0", 2048)
    assert blocks("0.32.0", 8192) == blocks("0.32.0", 65536), "no graph is larger than a step"
    assert blocks("0.19.0", 8) == blocks("0.19.0", 2048)
