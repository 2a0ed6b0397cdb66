"""Room for LoRA adapters: what vLLM's own manager makes, what start-up logs say, and how GPUs divide it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulator.catalog.adapters import adapters_of
from simulator.catalog.models import model
from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError
from simulator.memory.adapters import adapter_bytes_by_stage
from simulator.memory.shape import without_encoders
from simulator.perf.device import Split
from simulator.resolve.memory import answer
from simulator.resolve.memory_log import compare
from simulator.resolve.memory_question import Question
from simulator.units import BYTES_PER_GIB

CONFIGS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/vllm-shapes.json").read_text())["models"]
MADE = {
    "chatglm": 1908736,
    "deepseek_v2": 2286276608,
    "deepseek_v3": 26806079488,
    "deepseek_v32": 26844057600,
    "exaone4": 206569472,
    "falcon_h1": 245784576,
    "gemma3": 83066880,
    "glm": 200343552,
    "glm4_moe": 6276206592,
    "gpt_oss": 4301438976,
    "granitemoehybrid": 898310144,
    "hunyuan_v1_moe": 2934122944,
    "llama": 164528128,
    "llama4_text": 2228576256,
    "lfm2_moe": 759104000,
    "minimax_m2": 14161379328,
    "mistral": 167772160,
    "mixtral": 973520896,
    "nemotron_h": 39798528,
    "phi3": 105160704,
    "qwen2": 227540992,
    "qwen2_moe": 1022455296,
    "qwen3": 247513088,
    "qwen3_5": 230594560,
    "qwen3_5_moe": 3842443264,
    "qwen3_moe": 1703657472,
    "qwen3_next": 12204797952,
    "qwen3_vl_moe": 814884864,
    "smollm3": 129253376,
    "starcoder2": 98697216,
}
"""Bytes of `lora_*_stacked` that LoRAModelManager of vLLM 0.32.0 makes of the configs on a device without
memory, with two slots of rank 16 and one GPU."""
LLAMA = Question("llama-3.1-8b", "a100-40", version="0.8.2", max_num_batched_tokens=2048, max_num_seqs=256)
QWEN = Question("qwen3-30b-a3b", "h200", max_model_len=8192)


def weight(question: Question) -> float:
    return answer(question).plan.terms.weight_bytes


def slots(name: str, split: Split) -> list[float]:
    shape = shape_from_config(name, CONFIGS[name]["config"])
    return adapter_bytes_by_stage(shape, adapters_of(shape, 2, 16), split)


@pytest.mark.parametrize("name", MADE)
def test_slots_are_what_vllm_makes(name: str) -> None:
    assert sum(slots(name, Split())) == pytest.approx(MADE[name], rel=0.01)


def test_most_are_the_same_to_the_byte() -> None:
    exact = [name for name, made in MADE.items() if sum(slots(name, Split())) == made]
    assert len(exact) >= 20, sorted(MADE.keys() - exact)


def test_two_slots_of_llama_in_a_start_up_log() -> None:
    """15.1749 GiB where it is 14.9888 without, with 256 more tokens for adapters in embedding and head (vLLM 0.8.2)."""
    more_tokens = 2 * 256 * 4096 * 2 * 3
    made = weight(replace(LLAMA, enable_lora=True, max_loras=2)) + more_tokens
    assert made / BYTES_PER_GIB == pytest.approx(15.1749, abs=0.003)


def test_one_slot_of_qwen_in_a_start_up_log() -> None:
    """Qwen 2.5 7B loads 14.29 GiB, and 14.37 with `--enable-lora` alone (vLLM 0.24.0)."""
    asked = Question("qwen2.5-7b", "rtx-5090", version="0.24.0")
    added = weight(replace(asked, enable_lora=True)) - weight(asked)
    assert added / BYTES_PER_GIB == pytest.approx(0.08, abs=0.01)


def test_tensor_parallelism_divides_outputs_of_most_and_inputs_of_some() -> None:
    """Mistral 7B: A of 4,096 inputs whole and B cut, but of `o_proj` and `down_proj` A cut and B of 4,096 whole."""
    one_layer = 5 * 4096 + (4096 + 2 * 1024 + 2 * 14336) / 4 + (4096 + 14336) / 4 + 2 * 4096
    assert slots("mistral", Split(tp=4)) == [32 * one_layer * 2 * 16 * 2]


@pytest.mark.parametrize(
    ("name", "end"),
    [("glm4_moe", ".o_proj"), ("mistral", ".down_proj"), ("nemotron_h", ".out_proj"), ("deepseek-v4-flash", ".wo_b")],
)
def test_what_gives_back_to_the_residual_stream_has_its_inputs_divided(name: str, end: str) -> None:
    """RowParallelLinear: a fourth of the inputs of A on each of four GPUs, and all outputs of B."""
    shape = shape_from_config(name, CONFIGS[name]["config"]) if name in CONFIGS else model(name).shape
    own = next(matrix for matrix in shape.matrices if matrix.name.endswith(end))
    alone = replace(adapters_of(shape, 2, 16), embeds=False, heads=False)
    (found,) = adapter_bytes_by_stage(replace(shape, matrices=(own,)), alone, Split(tp=4))
    assert own.rows != own.columns
    assert found == 2 * 16 * 2 * (own.columns / 4 + own.rows)


@pytest.mark.parametrize("name", ["qwen3_vl_moe", "qwen3_asr"])
def test_encoders_have_no_adapters(name: str) -> None:
    shape = shape_from_config(name, CONFIGS[name]["config"])
    bare = without_encoders(shape)
    assert len(bare.matrices) < len(shape.matrices)
    assert adapter_bytes_by_stage(bare, adapters_of(bare, 2, 16), Split()) == slots(name, Split())


def test_experts_are_dealt_out_whole_or_cut() -> None:
    """Qwen3 30B of 128 experts 768 wide: 24 layers here, three matrices with a side cut or a fourth of the experts."""
    cut, dealt = (slots("qwen3_moe", Split(tp=4, expert_parallel=whole))[0] for whole in (False, True))
    sides = 24 * 3 * 2 * 16 * 2
    assert cut - dealt == sides * (128 * (2048 + 768 / 4) - 32 * (2048 + 768))


def test_stages_of_a_pipeline_have_their_own() -> None:
    """Qwen3: embedding on the first, head on the last, a half of the layers each."""
    whole, halves = slots("qwen3", Split()), slots("qwen3", Split(pp=2))
    assert sum(halves) == sum(whole)
    assert halves[0] == halves[1]


def test_more_slots_and_ranks_leave_less_for_the_cache() -> None:
    def kv(loras: int, rank: int) -> float:
        asked = replace(QWEN, enable_lora=True, max_loras=loras, max_lora_rank=rank)
        return answer(asked).plan.terms.kv_bytes

    base = answer(QWEN).plan.terms.kv_bytes
    assert base - kv(4, 32) == pytest.approx(8 * (base - kv(1, 16)))
    with pytest.raises(InputError, match="vLLM has the ranks 1, 8, 16"):
        kv(1, 12)


def test_a_log_says_its_slots(tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(
        "INFO 04-05 05:51:44 [api_server.py:982] args: Namespace(model='meta-llama/Llama-3.1-8B-Instruct', "
        "gpu_memory_utilization=0.9, enable_lora=True, enable_lora_bias=False, max_loras=2, max_lora_rank=16)\n"
        "INFO 04-05 05:51:53 [core.py:54] Initializing a V1 LLM engine (v0.8.2) with config: max_seq_len=131072,\n"
        "INFO 04-05 05:52:54 [gpu_model_runner.py:1186] Model loading took 15.1749 GB and 59.268527 seconds\n"
    )
    rows = {row["term"]: row for row in compare(log, Question("", "a100-40")).rows}
    assert rows["weights_gib"]["difference"] == pytest.approx(0, abs=0.02)
