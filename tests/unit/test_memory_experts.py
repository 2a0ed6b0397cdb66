"""What kernels of experts and indexers hold, against start-up logs of vLLM and the shapes in its source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.units import BYTES_PER_GIB

R1 = Question("deepseek-v3", "h200", tp=8, gpu_memory_utilization=0.92, max_model_len=8192, enable_prefix_caching=False)
MAVERICK = Question("llama-4-maverick", "h200", tp=8, gpu_memory_utilization=0.92, max_model_len=8192)
LLAMA_70B = Question("llama-3.3-70b-instruct", "h200", tp=4, gpu_memory_utilization=0.92, max_model_len=8192)


def peak(question: Question) -> float:
    return answer(question).plan.terms.activation_bytes


@pytest.mark.parametrize(
    ("question", "version", "tokens"),
    [
        (R1, "0.13.0", 658_752),
        (R1, "0.14.1", 633_088),
        (R1, "0.16.0", 658_176),
        (R1, "0.18.0", 653_808),
        (MAVERICK, "0.11.2", 1_141_712),
        (LLAMA_70B, "0.11.2", 1_182_608),
        (LLAMA_70B, "0.16.0", 1_183_568),
        (LLAMA_70B, "0.18.0", 1_200_192),
    ],
    ids=lambda value: value.model if isinstance(value, Question) else None,
)
def test_tokens_of_logs_of_h200(question: Question, version: str, tokens: int) -> None:
    """Logs among the validation records of github.com/ashishkamra/vllm-memory-estimator of May 2026."""
    assert answer(replace(question, version=version)).plan.kv_tokens == pytest.approx(tokens, rel=0.006)


def test_triton_keeps_two_arrays_for_every_chosen_token_beside_the_sampler() -> None:
    """2 x (max(768, 2048) + max(1536, 2048)) bytes for each of 8 experts of 8,192 tokens, from 0.14 on."""
    asked = Question("qwen3-30b-a3b", "h200", max_num_batched_tokens=8192, max_num_seqs=1024)
    kept = 8192 * 8 * (2048 + 2048) * 2
    assert peak(replace(asked, version="0.16.0")) - peak(replace(asked, version="0.13.0")) == kept
    assert peak(replace(asked, version="0.18.0")) - peak(replace(asked, version="0.20.0")) == kept
    assert peak(replace(asked, version="0.24.0")) - peak(replace(asked, version="0.20.0")) == kept


def test_cut_blocks_run_in_triton_on_hopper_and_whole_ones_in_flashinfer() -> None:
    asked = Question("qwen3-235b-a22b", "h200", tp=4, dtype="fp8", max_num_batched_tokens=8192, version="0.18.0")
    assert peak(asked) - peak(replace(asked, expert_parallel=True)) == 8192 * 8 * (4096 + 4096) * 2


def test_ungated_experts_in_fp8_are_padded_for_flashinfer_since_0_17() -> None:
    """Nemotron 3 Nano: 1,856 values become 1,920; its weights grew by 0.88 GiB from 0.16.0 to 0.18.0."""
    asked = Question("nemotron-3-nano-30b-a3b", "h200", dtype="fp8", version="0.18.0")
    new, old = (answer(replace(asked, version=version)).plan.terms.weight_bytes for version in ("0.18.0", "0.16.0"))
    assert (new - old) / BYTES_PER_GIB == pytest.approx(0.88, abs=0.07)
    ampere = [answer(replace(asked, gpu="a100-80", version=v)).plan.terms.weight_bytes for v in ("0.18.0", "0.16.0")]
    assert ampere[0] == ampere[1]


def test_an_indexer_keeps_the_keys_of_forty_longest_requests_of_less_than_256k_tokens() -> None:
    """825 MiB for DeepSeek V3.2's 163,840 tokens, as vLLM's source says, where its experts keep nothing."""
    asked = Question("deepseek-v3.2", "b200", tp=8, dtype="nvfp4", version="0.18.0")
    assert peak(asked) - peak(replace(asked, max_model_len=8192)) == 40 * (163840 - 8192) * 132
    assert 40 * 163840 * 132 == 825 * 2**20


@pytest.mark.parametrize(
    ("name", "gpu", "version", "kept"),
    [
        ("MiniMaxAI/MiniMax-M2.5", "h100-sxm", "0.19.1", 1 + 1),  # blocks, cut: Triton
        ("MiniMaxAI/MiniMax-M2.5", "rtx-pro-6000", "0.15.0", 1 + 1),  # blocks
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "h200", "0.19.1", 1 + 1),
        ("zai-org/GLM-4.5-Air-FP8", "h200", "0.19.1", 1 + 1),  # a scale for each output: CUTLASS
        ("mixtral-8x7b-fp8", "h200", "0.19.1", 0),  # a scale for each matrix: FlashInfer, which keeps nothing
    ],
)
def test_a_checkpoint_by_name_has_the_scales_that_its_publisher_gave_it(
    name: str, gpu: str, version: str, kept: int
) -> None:
    """They decide the kernel: where it keeps two arrays of its experts, each as wide as the model."""
    asked = Question(name, gpu, tp=4, version=version, max_num_batched_tokens=8192, max_num_seqs=1024)
    shape = answer(asked).shape
    less = replace(asked, max_num_batched_tokens=8192 - 1024)
    other = peak(asked) - peak(less) - 1024 * 2 * shape.hidden
    assert other == 1024 * shape.moe_per_token * shape.hidden * kept * 2


@pytest.mark.parametrize(
    ("question", "tokens"),
    [
        (
            Question(
                "MiniMaxAI/MiniMax-M2.5",
                "h100-sxm",
                tp=4,
                version="0.19.1",
                gpu_memory_utilization=0.95,
                max_model_len=128_000,
                max_num_seqs=10,
                max_num_batched_tokens=8192,
                max_cudagraph_capture_size=16,
            ),
            307_184,
        ),
        (Question("MiniMaxAI/MiniMax-M2.5", "rtx-pro-6000", tp=4, version="0.15.0"), 399_424),
    ],
)
def test_tokens_of_logs_of_minimax_m2_5(question: Question, tokens: int) -> None:
    """Notes on serving it in public repositories, 2026; with a scale for each matrix it was 4.8 and 2.2 % too many."""
    assert answer(question).plan.kv_tokens == pytest.approx(tokens, rel=0.031)


def test_experts_alone_are_in_nvfp4_where_the_published_checkpoint_has_them_so() -> None:
    """GLM-5.2 in NVFP4 on four GB200, experts dealt out (vLLM 0.26.0): 106.69 GiB; all linear layers were 99.5."""
    asked = Question(
        "nvidia/GLM-5.2-NVFP4",
        "gb200",
        tp=4,
        expert_parallel=True,
        kv_dtype="fp8",
        max_model_len=819_200,
        gpu_memory_utilization=0.92,
        version="0.26.0",
    )
    found = answer(asked).plan
    assert found.terms.weight_bytes / BYTES_PER_GIB == pytest.approx(106.69, rel=0.005)
    assert found.kv_tokens == pytest.approx(1_139_456, rel=0.06)
    assert answer(replace(asked, model="glm-5.2", dtype="nvfp4")).plan == found


def test_kimi_in_nvfp4_is_as_large_as_its_published_checkpoints() -> None:
    """595 GB with experts alone in NVFP4 (ISTA-DASLab/Kimi-K2.5-P48-NVFP4-W4A4-Preview, split as NVIDIA's K2.6)."""
    asked = Question("nvidia/Kimi-K2.6-NVFP4", "b300", max_model_len=8192, version="0.25.0")
    assert answer(asked).plan.terms.weight_bytes == pytest.approx(595e9, rel=0.01)
