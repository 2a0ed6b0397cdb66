"""What a group of GPUs holds outside torch: logs of vLLM 0.18 to 0.19 on H100 that name their terms, and the sizes by
FlashInfer's source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from config_cases import write_config

from simulator.catalog.vllm import overheads
from simulator.cli.memory_text import as_json, print_answer
from simulator.errors import InputError
from simulator.perf.device import Split
from simulator.resolve.kv_blocks import kv_blocks, question
from simulator.resolve.kv_groups import kv_groups
from simulator.resolve.memory import answer
from simulator.resolve.memory_log import compare
from simulator.resolve.memory_question import Question
from simulator.schema.engine import EngineSettings
from simulator.units import BYTES_PER_GIB, BYTES_PER_MIB

LLAMA = Question("llama-3.1-8b", "h100-sxm", tp=2, max_model_len=8192, gpu_memory_utilization=0.95, version="0.19.0")


def runtime(asked: Question) -> float:
    return answer(asked).plan.terms.runtime_bytes


def workspace(asked: Question) -> float:
    """MiB that the fused all-reduce adds."""
    return (runtime(asked) - runtime(replace(asked, fuse_allreduce_rms=False))) / BYTES_PER_MIB


@pytest.mark.parametrize(
    ("name", "dtype", "tp", "non_torch"),
    [
        ("llama-3.1-8b", "auto", 2, 2.07),
        ("llama-3.1-8b", "auto", 4, 2.13),
        ("mixtral-8x7b", "auto", 2, 2.07),
        ("qwen2.5-72b", "auto", 2, 2.09),
        ("gpt-oss-20b", "auto", 2, 2.07),
        ("llama-4-scout", "auto", 4, 2.17),
        ("qwen2.5-7b", "auto", 2, 2.06),
        ("qwen2.5-7b", "auto", 4, 2.13),
        ("llama-3.1-70b", "fp8", 2, 2.10),
        ("llama-3.1-70b", "fp8", 4, 2.21),
        ("llama-3.1-70b", "int8", 2, 2.11),
        ("mistral-small-3.1-24b", "int8", 2, 2.07),
    ],
)
def test_two_and_four_gpus_hold_what_their_logs_say(name: str, dtype: str, tp: int, non_torch: float) -> None:
    """Accuracy report of llm-d's planner (April 2026): GiB of non-torch memory; none of the constants is from it."""
    asked = replace(LLAMA, model=name, dtype=dtype, tp=tp)
    assert runtime(asked) / BYTES_PER_GIB == pytest.approx(non_torch, abs=0.18)


def test_the_tightest_of_those_engines_keeps_what_its_log_says() -> None:
    """Qwen2.5 72B on two H100: 3.13 GiB are left (79.19 x 0.95 - 67.72 - 2.29 - 2.09)."""
    assert answer(replace(LLAMA, model="qwen2.5-72b")).plan.terms.kv_bytes / BYTES_PER_GIB == pytest.approx(
        3.13, rel=0.06
    )


@pytest.mark.parametrize(("pp", "version"), [(2, "0.19.0"), (4, "0.19.0"), (2, "0.11.0")])
def test_stages_alone_hold_next_to_nothing(pp: int, version: str) -> None:
    """0.07 GiB on two and on four H100: their communicators are there before memory is first looked at."""
    asked = replace(LLAMA, tp=1, pp=pp, version=version)
    assert runtime(asked) / BYTES_PER_GIB == pytest.approx(0.07, abs=0.05)
    assert runtime(replace(asked, version="0.10.2")) / BYTES_PER_GIB == pytest.approx(0.38, abs=0.05)


@pytest.mark.parametrize(
    ("gpu", "tp", "version", "mib"),
    [
        ("h100-sxm", 2, "0.16.0", 0),
        ("h100-sxm", 2, "0.17.0", 4 * 2 * 64),
        ("h100-sxm", 2, "0.24.0", 4 * 2 * 64),
        ("h100-sxm", 2, "0.25.0", 6 * 64),
        ("h200", 4, "0.24.0", 4 * 4 * 2),
        ("h200", 8, "0.32.0", 6 * 0.5),
        ("b200", 4, "0.18.0", 4 * 4 * 32),
        ("b200", 4, "0.32.0", 6 * 32),
        ("b300", 4, "0.18.0", 0),
        ("b300", 4, "0.19.0", 4 * 4 * 64),
        ("h100-pcie", 2, "0.24.0", 0),
        ("l40s", 2, "0.24.0", 0),
        ("h100-sxm", 1, "0.24.0", 0),
    ],
)
def test_a_fused_all_reduce_keeps_a_workspace(gpu: str, tp: int, version: str, mib: float) -> None:
    """One copy of every peer's message and three of its states (`trtllm_create_ipc_workspace_for_all_reduce_fusion`);
    two halves of three states by multicast (`MNNVLAllReduceFusionWorkspace`). 4,096 values of 2 bytes divide them."""
    assert workspace(replace(LLAMA, gpu=gpu, tp=tp, version=version, max_num_batched_tokens=131_072)) == mib


def test_the_workspace_is_no_larger_than_a_step() -> None:
    small = replace(LLAMA, max_num_batched_tokens=1001, max_num_seqs=64)
    assert workspace(small) * BYTES_PER_MIB == 4 * 2 * 1001 * 4096 * 2
    multicast = replace(small, version="0.32.0")
    assert workspace(multicast) * BYTES_PER_MIB == 6 * 1002 * 4096 * 2
    assert workspace(replace(small, enforce_eager=True)) == workspace(replace(small, pp=2)) == 0
    assert workspace(replace(small, version="0.13.0", fuse_allreduce_rms=True)) == workspace(small)


def test_the_engine_of_a_run_is_asked_as_it_is_set() -> None:
    settings = EngineSettings(version="0.19.0", max_model_len=8192, fuse_allreduce_rms=False)
    asked = question("llama-3.1-8b", "h100-sxm", Split(2), settings, None, Path())
    assert runtime(asked) < runtime(replace(asked, fuse_allreduce_rms=None))


def test_a_log_says_whether_all_reduces_are_fused(tmp_path: Path) -> None:
    def left(told: str) -> float:
        log = tmp_path / "start.log"
        config = f"tensor_parallel_size=2, compilation_config={{'pass_config': {{'fuse_allreduce_rms': {told}}}}}"
        text = f"Initializing a V1 LLM engine (v0.13.0) with config: {config}\nAvailable KV cache memory: 60.0 GiB\n"
        log.write_text(text, encoding="utf-8")
        rows = compare(log, replace(LLAMA, version=None, tp=1)).rows
        return next(float(row["plan"]) for row in rows if row["term"] == "kv_gib")

    assert left("False") - left("True") == pytest.approx(0.5, abs=0.02)


SPARK = Question("qwen3-0.6b", "gb10", gpu_memory_utilization=0.6, version="0.27.1")


def test_memory_that_processors_share_holds_what_they_take() -> None:
    """Qwen3 0.6B on a GB10: 3.35 GiB of weights (1.12) and of what is not torch's."""
    terms = answer(SPARK).plan.terms
    assert (terms.weight_bytes + terms.runtime_bytes) / BYTES_PER_GIB == pytest.approx(3.35, abs=1.3)
    assert runtime(SPARK) - runtime(replace(SPARK, gpu="rtx-5090")) == overheads().host


def test_a_plan_in_shared_memory_says_that_it_is_unsure(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(answer(SPARK), "text")
    assert "share one memory" in capsys.readouterr().out
    assert any("share one memory" in note for note in kv_blocks(SPARK).notes)
    assert len(as_json(answer(SPARK))["notes"]) == 1
    assert as_json(answer(replace(SPARK, kv_cache_memory_bytes=2**34)))["notes"] == []
    elsewhere = replace(SPARK, gpu="rtx-5090", enforce_eager=True)
    assert as_json(answer(elsewhere))["notes"] == list(kv_blocks(LLAMA).notes) == []


def test_what_was_encoded_has_blocks_of_its_own_for_all_that_a_step_may_encode(tmp_path: Path) -> None:
    """Whisper large-v3, as vLLM 0.32 builds it: 32 layers of each kind, with 20 heads of 64 in 16 bit."""
    rows = json.loads((Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text(encoding="utf-8"))["models"]
    asked = Question(str(write_config(tmp_path, rows["whisper"]["config"])), "rtx-4090", max_num_batched_tokens=2048)
    found = answer(replace(asked, version="0.31.0")).plan
    assert [(group.page.kind, len(group.members)) for group in found.groups] == [("full", 32), ("cross", 32)]
    assert found.terms.block_bytes == 32 * 16 * 2 * 20 * 64 * 2
    assert found.max_concurrency == pytest.approx(found.num_blocks / (448 / 16 + 2048 / 16))
    with pytest.raises(InputError, match=r"before 0\.11\.0"):
        answer(replace(asked, version="0.10.1"))
    with pytest.raises(InputError, match="not simulated"):
        kv_groups(found, prefix_caching=True)


@pytest.mark.parametrize(("dtype", "starts"), [("auto", True), ("float16", True), ("bfloat16", False)])
def test_a_run_on_an_old_gpu_is_in_the_type_of_16_bits_that_it_computes_in(dtype: str, starts: bool) -> None:
    """vLLM takes fp16 where it chooses (`auto`), and refuses a bfloat16 that is asked for before Ampere."""
    settings = EngineSettings(dtype=dtype, max_model_len=4096)
    asked = question("qwen3-0.6b", "t4", Split(), settings, "bf16", Path())
    if starts:
        assert answer(asked).plan.fits
        return
    with pytest.raises(InputError, match="does not compute in bfloat16"):
        answer(asked)
