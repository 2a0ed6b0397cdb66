"""Memory plans against start-up logs of vLLM that were published, and what the plan refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.errors import InputError
from simulator.resolve.advice import ways_out
from simulator.resolve.cards import card_of
from simulator.resolve.memory import Answer, answer
from simulator.resolve.memory_question import Question
from simulator.units import BYTES_PER_GIB

SHARE = 0.92
QWEN_27B = Question("qwen3.6-27b-fp8", "l40s", gpu_memory_utilization=0.9, max_model_len=131072, version="0.26.0")
DRAFTS: dict[str, Any] = {"speculative_method": "mtp", "num_speculative_tokens": 3}


def config(folder: Path, **changes: Any) -> str:
    return str(write_config(folder, LLAMA | changes))


def gib(size: float) -> float:
    return size / BYTES_PER_GIB


@pytest.mark.parametrize(
    ("question", "tokens", "error"),
    [
        (Question("llama-3.1-8b", "a100-40", version="0.10.1.1"), 157648, 0.01),
        (Question("llama-3.1-8b", "a100-80", version="0.31.0"), 460496, 0.01),
        (Question("qwen3-8b", "h100-sxm", version="0.19.1"), 389888, 0.01),
        (Question("gemma-3-27b", "mi300x", max_model_len=4096, version="0.11.0"), 205696, 0.01),
        (
            Question(
                "qwen2.5-7b", "h200", dtype="awq", gpu_memory_utilization=0.3, max_model_len=4096, version="0.31.0"
            ),
            651504,
            0.0025,  # its weights are told too: test_memory_allocator.py
        ),
        (
            Question(
                "qwen3-30b-a3b",
                "l4",
                tp=4,
                dtype="fp8",
                expert_parallel=True,
                gpu_memory_utilization=0.85,
                max_model_len=8192,
                version="0.29.0",
            ),
            401776,
            0.03,
        ),
        (Question("qwen3-235b-a22b", "h100-sxm", tp=4, dtype="fp8", version="0.9.2"), 178880, 0.03),
        (
            Question(
                "qwen3-30b-a3b-2507",
                "l40s",
                tp=2,
                dtype="fp8",
                expert_parallel=True,
                gpu_memory_utilization=0.95,
                max_model_len=32768,
                version="0.10.2",
            ),
            566016,
            0.01,
        ),
        (Question("qwen3-8b", "a100-40", version="0.9.2"), 136080, 0.01),
        (Question("qwen3-0.6b", "l40s", max_model_len=16000, version="0.11.2"), 350304, 0.001),
        (
            Question(
                "qwen2.5-7b",
                "a100-80",
                gpu_memory_utilization=0.25,
                max_model_len=16384,
                version="0.10.1",
                flashinfer=True,
            ),
            93872,
            0.03,
        ),
    ],
    ids=lambda value: f"{value.model}-{value.gpu}-{value.version}" if isinstance(value, Question) else None,
)
def test_tokens_of_published_logs(question: Question, tokens: int, error: float) -> None:
    assert answer(question).plan.kv_tokens == pytest.approx(tokens, rel=error)


def test_flashinfers_sampler_saves_the_sort_where_it_is_used() -> None:
    def saved(version: str) -> float:
        asked = Question("qwen2.5-7b", "h100-sxm", version=version)
        with_sort, without = (answer(replace(asked, flashinfer=installed)).plan.terms for installed in (False, True))
        return with_sort.activation_bytes - without.activation_bytes

    assert saved("0.10.1") == 1024 * 152064 * (38 - 14)
    assert saved("0.9.0") == saved("0.17.0") == saved("0.33.0") == 0


def buffers(gpu: str, tp: int, version: str) -> float:
    """Non-torch memory that a tensor-parallel group adds to a GPU."""
    alone, group = (answer(Question("llama-3.1-8b", gpu, tp=each, version=version)) for each in (1, tp))
    return gib(group.plan.terms.runtime_bytes - alone.plan.terms.runtime_bytes)


def test_nccl_allocated_all_its_buffers_up_to_0_10_1() -> None:
    assert buffers("h100-sxm", 2, "0.8.5") == pytest.approx(1.79, abs=0.01)
    assert buffers("a100-40", 8, "0.8.5") == pytest.approx(2.1, abs=0.03)
    assert buffers("rtx-4090", 2, "0.10.1") == pytest.approx(0.2, abs=0.05)
    assert buffers("h100-sxm", 2, "0.10.2") == pytest.approx(1.3, abs=0.1)
    assert buffers("l4", 4, "0.29.0") == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("tp", "gpu", "held"), [(2, "h100-sxm", 0.42), (4, "h200", 0.7), (8, "h200", 1.2)])
def test_peers_hold_little_before_graphs_are_captured_in_the_profile(tp: int, gpu: str, held: float) -> None:
    """Non-torch memory of two H100, and what weights, sampler and KV cache leave on H200 (0.11.2 to 0.16.0)."""
    assert buffers(gpu, tp, "0.11.2") == buffers(gpu, tp, "0.16.0") == pytest.approx(held, abs=0.12)
    assert buffers(gpu, tp, "0.18.0") > held + 0.85


def test_groups_without_peer_memory_do_not_grow_where_graphs_are_captured_after_the_profile() -> None:
    """Eight L40S with 0.10.2: 0.21 GiB of non-torch memory each, 238,208 tokens beside Qwen3 235B."""
    assert buffers("l40s", 8, "0.10.2") == pytest.approx(0.21, abs=0.15)
    asked = Question("qwen3-235b-a22b-2507", "l40s", tp=8, dtype="fp8", expert_parallel=True, version="0.10.2")
    terms = answer(replace(asked, max_model_len=32768)).plan.terms
    assert (gib(terms.weight_bytes), gib(terms.activation_bytes)) == (
        pytest.approx(27.72, abs=0.02),
        pytest.approx(1.4, abs=0.02),
    )
    assert answer(replace(asked, max_model_len=32768)).plan.kv_tokens == pytest.approx(238208, rel=0.03)


def test_two_cards_without_peer_memory_hold_half_of_what_four_hold() -> None:
    """Two L40S, RTX 5080 with 5070 Ti: 0.28 to 0.38 GiB of the budget are neither weights, peak nor KV cache."""
    assert buffers("l40s", 2, "0.13.0") == pytest.approx(0.33, abs=0.05)


@pytest.mark.parametrize(
    ("sequences", "tokens", "kv_gib"), [(None, 141036, 8.82), (16, 155600, 9.75)], ids=["256", "16"]
)
def test_an_engine_in_sleep_mode_found_more_than_there_is(sequences: int | None, tokens: int, kv_gib: float) -> None:
    """vLLM's issue 40256, up to 0.26: what loading has given back counts as held by torch, whoever is to be served."""
    asked = replace(QWEN_27B, max_num_seqs=sequences)
    terms = answer(asked).plan.terms
    assert kv_gib - gib(terms.kv_bytes) == pytest.approx(0.78, abs=0.06)
    found = answer(replace(asked, kv_cache_memory_bytes=round(kv_gib * BYTES_PER_GIB))).plan
    assert found.kv_tokens == pytest.approx(tokens, rel=0.005)


def test_more_sequences_than_state_blocks_do_not_start() -> None:
    plan = answer(QWEN_27B).plan
    assert not plan.fits
    assert any(f"exceeds the {plan.num_blocks} blocks" in each for each in plan.refusals)
    assert answer(replace(QWEN_27B, max_num_seqs=16)).plan.fits


@pytest.mark.parametrize(
    ("question", "blocks"),
    [
        (Question("qwen3.6-27b-fp8", "h100-sxm", gpu_memory_utilization=0.95, version="0.23.0"), 856),
        (Question("qwen3.6-27b-fp8", "rtx-pro-6000", version="0.27.0", **DRAFTS), 939),
        (Question("qwen3.6-27b", "rtx-pro-6000", gpu_memory_utilization=0.95, version="0.27.0", **DRAFTS), 556),
    ],
    ids=lambda value: f"{value.model}-{value.gpu}" if isinstance(value, Question) else None,
)
def test_engines_that_had_too_few_state_blocks_for_their_sequences(question: Question, blocks: int) -> None:
    """Of vLLM's recipes (551, and 831 for Qwen3.8, which has the same shape); a thousand sequences by default."""
    plan = answer(question).plan
    assert (plan.num_blocks, plan.fits) == (pytest.approx(blocks, rel=0.02), False)


def test_a_request_of_the_longest_length_has_to_fit_and_the_length_that_does_is_named() -> None:
    short = answer(replace(QWEN_27B, gpu_memory_utilization=0.86, max_num_seqs=128))
    assert not short.plan.fits
    assert any("max_model_len" in refusal for refusal in short.plan.refusals)
    found = next(way for way in ways_out(short) if way.startswith("max_model_len="))
    length = int(found.split("=")[1])
    assert answer(replace(short.question, max_model_len=length)).plan.fits


@pytest.mark.parametrize(("version", "weights"), [("0.10.1", 65.97), ("0.14.1", 64.38)])
def test_gpt_oss_fills_one_h100(version: str, weights: float) -> None:
    found = answer(Question("gpt-oss-120b", "h100-sxm", version=version))
    assert not found.plan.fits
    assert gib(found.plan.terms.weight_bytes) == pytest.approx(weights, rel=0.005)
    assert any(way.startswith("tp=") for way in ways_out(found))


def test_the_publishers_fp8_checkpoint_leaves_attention_in_16_bit() -> None:
    terms = answer(Question("llama-3.1-405b-fp8", "h100-sxm", tp=8)).plan.terms
    assert gib(terms.weight_bytes) == pytest.approx(57.75, rel=0.001)
    image = answer(Question("gemma-3-27b", "mi300x", version="0.11.0")).plan.terms
    assert gib(image.weight_bytes) == pytest.approx(51.79, rel=0.015)


def test_the_engine_sees_less_than_the_datasheet_says() -> None:
    assert gib(card_of("l4").memory_bytes) == pytest.approx(22.03, abs=0.01)
    for name, entry in gpus().items():
        assert 0.8 < card_of(name).memory_bytes / entry.memory.value <= 1.0 + 1e-9, name


@pytest.mark.parametrize("name", sorted(models()))
def test_every_model_of_the_catalog_is_planned(name: str) -> None:
    found = answer(Question(name, "b200", tp=1 if models()[name].total_parameters.value < 6e10 else 8))
    terms = found.plan.terms
    assert terms.weight_bytes > 0
    assert found.plan.groups
    assert terms.usable_bytes == pytest.approx(SHARE * terms.total_bytes)
    total = terms.weight_bytes + terms.activation_bytes + terms.runtime_bytes + terms.kv_bytes
    total += terms.graph_bytes if terms.graphs_in_budget else 0
    assert total == pytest.approx(terms.usable_bytes)


def test_defaults_are_those_of_the_version() -> None:
    old, new = (answer(Question("llama-3.1-8b", "a100-80", version=version)) for version in ("0.8.5", "0.33.0"))
    assert (old.request.gpu_memory_utilization, new.request.gpu_memory_utilization) == (0.9, 0.92)
    assert not old.plan.terms.graphs_in_budget
    assert new.plan.terms.graphs_in_budget
    eager = answer(Question("llama-3.1-8b", "a100-80", enforce_eager=True))
    assert eager.plan.terms.graph_bytes == 0
    assert eager.plan.kv_tokens > new.plan.kv_tokens


def test_memory_grows_with_what_grows_it() -> None:
    base = Question("llama-3.1-8b", "h100-sxm", version="0.11.0")

    def tokens(**changes: Any) -> int:
        return answer(replace(base, **changes)).plan.kv_tokens

    assert tokens(gpu_memory_utilization=0.8) < tokens(gpu_memory_utilization=0.9)
    assert tokens(max_num_batched_tokens=65536) < tokens(max_num_batched_tokens=2048)
    assert tokens(max_num_seqs=2048) < tokens(max_num_seqs=256)
    assert tokens(kv_dtype="fp8") == pytest.approx(2 * tokens(), rel=0.001)
    assert tokens(dtype="fp8") > tokens()
    assert tokens(tp=2) > 2 * tokens()
    assert tokens(pp=2) > 2 * tokens()


def kv_bytes_per_token(found: Answer) -> float:
    return found.plan.terms.kv_bytes / found.plan.kv_tokens


def test_kv_heads_are_copied_beyond_their_number_and_other_splits_are_refused(tmp_path: Path) -> None:
    model = config(tmp_path / "m")
    halves, copies = (answer(Question(model, "l4", tp=tp)) for tp in (2, 8))
    assert kv_bytes_per_token(halves) == pytest.approx(kv_bytes_per_token(copies), rel=0.01)
    with pytest.raises(InputError, match="3"):
        answer(Question(model, "l4", tp=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "retnet"}, "model_type"),
        ({"layer_types": ["full_attention"] * 7 + ["sparse_magic"]}, "sparse_magic"),
        ({"quantization_config": {"quant_method": "exl3"}}, "exl3"),
        ({"kv_lora_ranks": 4, "num_kv_shared_layers": 3}, "num_kv_shared_layers"),
        ({"v_head_dim": 64}, "v_head_dim"),
        ({"compress_ratios": [4] * 8}, "compress_ratios"),
        ({"sparse_attention_config": {"sparse_index_dim": 128}}, "sparse_attention_config"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        answer(Question(config(tmp_path / "m", **changes), "l4"))
    assert caught.value.problems[0].file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "0.6.0"}, "0.8"),
        ({"version": "soon"}, "version"),
        ({"gpu": "h1000"}, "h1000"),
        ({"model": "lama"}, "lama"),
        ({"dtype": "fp3"}, "fp3"),
        ({"kv_dtype": "fp3"}, "fp3"),
        ({"gpu_memory_utilization": 1.2}, "gpu_memory_utilization"),
        ({"gpu": "t4", "dtype": "fp8"}, "t4"),
        ({"model": "gpt-oss-20b", "version": "0.10.0"}, "version: vLLM has mxfp4 weights from 0.10.1 on"),
        ({"dtype": "mxfp4", "version": "0.9.2"}, "version: vLLM has mxfp4 weights from 0.10.1 on"),
        ({"dtype": "nvfp4", "version": "0.8.5"}, "version: vLLM has nvfp4 weights before Blackwell from 0.9.0 on"),
        ({"gpu": "t4", "dtype": "bf16"}, "t4 does not compute in bfloat16.*use fp16"),
    ],
)
def test_bad_questions_say_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        answer(replace(Question("llama-3.1-8b", "h100-sxm"), **changes))


def test_windows_and_full_layers_share_one_pool(tmp_path: Path) -> None:
    kinds = ["sliding_attention"] * 6 + ["full_attention"] * 2
    mixed = answer(
        Question(
            config(tmp_path / "mixed", sliding_window=128, layer_types=kinds, max_position_embeddings=131072), "l4"
        )
    )
    assert sorted(group.page.kind for group in mixed.plan.groups) == ["full", "window", "window", "window"]
    assert all(len(group.members) == 2 for group in mixed.plan.groups)
    full = answer(Question(config(tmp_path / "full", max_position_embeddings=131072), "l4"))
    assert mixed.plan.max_concurrency > 2 * full.plan.max_concurrency


def test_a_checkpoints_own_format_is_read(tmp_path: Path) -> None:
    plain = answer(Question(config(tmp_path / "plain"), "l4")).plan.terms.weight_bytes
    section = {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]}
    fp8 = answer(Question(config(tmp_path / "fp8", quantization_config=section), "l4")).plan.terms.weight_bytes
    section = section | {"modules_to_not_convert": ["lm_head", "self_attn"]}
    part = answer(Question(config(tmp_path / "part", quantization_config=section), "l4")).plan.terms.weight_bytes
    awq = {"quant_method": "awq", "bits": 4, "group_size": 128}
    four = answer(Question(config(tmp_path / "awq", quantization_config=awq), "l4")).plan.terms.weight_bytes
    assert four < fp8 < part < plain


def test_a_gpu_of_ones_own_is_planned_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text("{name: mine, memory_gib: 22.03, generation: ada}", encoding="utf-8")
    own = answer(Question("qwen3-8b-fp8", str(file), max_model_len=4096)).plan
    assert own.kv_tokens == pytest.approx(
        answer(Question("qwen3-8b-fp8", "l4", max_model_len=4096)).plan.kv_tokens, rel=0.001
    )
    for text, message in [
        ("{name: mine, generation: ada}", "memory_gib"),
        ("{name: mine, memory_gib: 22, bandwidth_gb_per_s: 1344}", "name that one, as 'like: rtx-5090'"),
        ("{name: mine, memory_gib: x, generation: ada}", "GiB"),
        ("{name: mine, memory_gib: 8, generation: lovelace}", "generation"),
        ("[", "YAML"),
    ]:
        wrong = tmp_path / f"{len(text)}.yaml"
        wrong.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            answer(Question("qwen3-8b", str(wrong)))


@pytest.mark.parametrize(
    ("version", "asked", "longest"),
    [(None, None, 4096), ("0.11.1", None, 4096), ("0.10.2", None, 131_072), (None, 131_072, 131_072)],
)
def test_long_rope_is_served_at_its_original_length_unless_one_is_given(
    version: str | None, asked: int | None, longest: int, tmp_path: Path
) -> None:
    scaled = {"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}
    name = config(tmp_path, max_position_embeddings=131_072, **scaled)
    found = answer(Question(name, "h100-sxm", version=version, max_model_len=asked))
    assert found.plan.max_model_len == longest


def test_a_checkpoint_that_is_quantised_already_has_no_other_format_as_a_way_out() -> None:
    ways = ways_out(answer(Question("gpt-oss-120b", "h100-sxm", version="0.10.1")))
    assert ways == ["tp=2"]


def test_what_a_publisher_leaves_in_16_bit_is_loaded_so() -> None:
    """vLLM 0.20.0 says 21.86 GiB of Red Hat's checkpoint, whose linear attention is in 16 bit."""
    found = answer(Question("RedHatAI/Qwen3.6-35B-A3B-NVFP4", "rtx-5090", version="0.20.0", max_model_len=65536))
    assert gib(found.plan.terms.weight_bytes) == pytest.approx(21.86, abs=0.03)


def test_graphs_and_context_beside_the_budget_must_fit_on_the_card_too() -> None:
    """Up to 0.10 neither is in the budget: of a card that is asked for whole both are too much."""
    asked = Question("llama-3.1-8b", "l4", gpu_memory_utilization=0.999, max_model_len=4096, version="0.10.2")
    plan = answer(asked).plan
    card_bytes = card_of("l4").memory_bytes
    (said,) = (each for each in plan.refusals if "outside the budget (CUDA graphs, context)" in each)
    over = float(said.partition("exceeds the card by ")[2].split(" ")[0])
    lacking = gib(plan.terms.usable_bytes + plan.terms.graph_bytes - card_bytes)
    assert over > max(lacking, 0.0), "and the context"
    assert over == pytest.approx(lacking, abs=1.0)
    assert not plan.fits
    roomy = answer(replace(asked, gpu_memory_utilization=0.85)).plan
    assert not any("outside the budget" in each for each in roomy.refusals)


@pytest.mark.parametrize(
    ("version", "eager", "outside", "ways"),
    [
        ("0.8.5", False, "CUDA graphs", " or max_num_seqs, or set enforce_eager"),
        ("0.26.0", False, "CUDA graphs, context, what penalties count", " or max_num_seqs, or set enforce_eager"),
        ("0.26.0", True, "context, what penalties count", " or max_num_seqs"),
    ],
)
def test_what_lies_outside_the_budget_is_named_with_what_makes_it_less(
    version: str, eager: bool, outside: str, ways: str
) -> None:
    """The newer runner's penalties take 4096 * 128256 * 4.125 bytes; an engine without graphs has none to leave out."""
    asked = Question("llama-3.1-8b", "h100-sxm", version=version, max_num_seqs=4096, enforce_eager=eager)
    (said,) = answer(replace(asked, gpu_memory_utilization=0.994)).plan.refusals
    assert f"outside the budget ({outside})" in said
    assert said.endswith(f"lower gpu_memory_utilization{ways}")
