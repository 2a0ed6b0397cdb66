"""What the profile run and the buffers of models with encoders and of drafts hold, against vLLM's source and logs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from config_cases import LLAMA, write_config

from simulator.catalog.shapes.config import shape_from_config
from simulator.catalog.vllm import overheads
from simulator.errors import InputError
from simulator.memory.planner import Plan
from simulator.memory.profile import Card
from simulator.memory.shape import without_encoders
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.units import BYTES_PER_GIB

MODELS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "vllm-shapes.json").read_text(encoding="utf-8")
)["models"]
DRAFTS: dict[str, Any] = {"speculative_method": "mtp", "num_speculative_tokens": 3}


def gib(size: float) -> float:
    return size / BYTES_PER_GIB


def test_rejecting_drafts_takes_more_than_sampling() -> None:
    """Thirty bytes of each vocabulary entry in place of fourteen, where the older model runner profiles it."""
    asked = Question("qwen3.6-27b-fp8", "b200", max_num_seqs=512, version="0.27.0")
    peaks = [answer(replace(asked, **more)).plan.terms.activation_bytes for more in ({}, DRAFTS)]
    assert peaks[1] - peaks[0] == 512 * 248320 * (30 - 14)
    lean = [answer(replace(asked, version="0.29.0", **more)).plan.terms.activation_bytes for more in ({}, DRAFTS)]
    assert lean[1] == lean[0]


@pytest.mark.parametrize(("tp", "peak_gib"), [(1, 1.88), (2, 1.46)])
def test_the_largest_image_is_encoded_in_the_profile(tp: int, peak_gib: float) -> None:
    """65,536 patches of 1,152 values. One GPU: the live tensors of vLLM 0.32.0's own encoder, run without memory; two:
    logs of two RTX 3090 and of two RTX 5090 (0.27.1), 1.66 and 1.59 GiB with 0.2 and 0.13 of graphs."""
    asked = Question(
        "qwen3.6-27b-fp8", "rtx-5090", tp=tp, max_num_batched_tokens=8192, max_num_seqs=2, version="0.27.1"
    )
    assert gib(answer(asked).plan.terms.activation_bytes) == pytest.approx(peak_gib, abs=0.005)


def test_an_image_is_held_beside_the_sampler_of_the_older_model_runner() -> None:
    """Its 16,384 embeddings, and, up to 0.28, the 1,536 values of each of its 65,536 patches."""
    asked = Question("qwen3.6-27b-fp8", "b200", max_num_seqs=4096, version="0.28.0")
    older, newer = (
        answer(replace(asked, version=version)).plan.terms.activation_bytes for version in ("0.28.0", "0.29.0")
    )
    sampler = 4096 * 248320
    assert older - newer == sampler * (14 - 6) + 65536 * 1536 * 2


def test_buffers_for_a_step_are_held_with_the_weights(tmp_path: Path) -> None:
    """Layers of Qwen3-VL's encoder hand embeddings to the decoder, and each token of a step has room for them."""
    encoder = {"hidden_size": 64, "depth": 2, "num_heads": 4, "intermediate_size": 128, "patch_size": 16}
    encoder |= {"spatial_merge_size": 2, "out_hidden_size": 4096, "deepstack_visual_indexes": [0, 1]}
    text = LLAMA | {"model_type": "qwen3_vl_text", "hidden_size": 4096, "head_dim": 128}
    model = str(write_config(tmp_path, {"model_type": "qwen3_vl", "text_config": text, "vision_config": encoder}))
    sizes = [
        answer(Question(model, "h100-sxm", max_num_batched_tokens=tokens)).plan.terms.weight_bytes
        for tokens in (4096, 8192)
    ]
    assert sizes[1] - sizes[0] == 4096 * 2 * 4096 * 2


def test_encoders_that_a_config_names_nowhere_are_planned_and_an_unknown_one_is_refused() -> None:
    """Phi-4-multimodal: an image of 36 crops and the whole, 1,024 patches each; audio by its own section."""
    config = MODELS["phi4mm"]["config"]
    (tower,) = shape_from_config("phi-4", config).towers
    assert tower.tokens_per_item * tower.patches_per_token == 37 * 1024
    with pytest.raises(InputError) as caught:
        shape_from_config("phi-4", config | {"audio_processor": {"name": "other", "config": {}}})
    assert [problem.path for problem in caught.value.problems] == ["audio_processor"]


def test_text_alone_needs_no_encoder() -> None:
    """Qwen3.6's: 27 layers of 1,152 with MLPs of 4,304, patches of 1,536 values, four of which become one token."""
    asked = Question("qwen3.6-27b", "h200", max_num_seqs=8, version="0.29.0", expandable_segments=True)
    both, alone = (answer(replace(asked, language_model_only=text)).plan.terms for text in (False, True))
    encoder = 27 * (4 * 1152**2 + 2 * 1152 * 4304) + 1152 * 1536 + 4608 * (4608 + 5120)
    assert both.weight_bytes - alone.weight_bytes == 2 * encoder
    assert alone.activation_bytes < both.activation_bytes
    assert alone.kv_bytes - both.kv_bytes == pytest.approx(2 * encoder + both.activation_bytes - alone.activation_bytes)


def test_text_alone_has_no_buffers_for_what_an_encoder_hands_on() -> None:
    shape = shape_from_config("vl", MODELS["qwen3_vl"]["config"])
    assert shape.step_bytes > 0
    assert without_encoders(shape).step_bytes == 0


@pytest.mark.parametrize("name", ["blip-2", "granite_speech", "phi4mm", "qwen3_vl", "gemma4"])
def test_without_encoders_the_weights_are_those_of_the_decoder(name: str) -> None:
    config = MODELS[name]["config"]
    decoder = config.get("text_config", {key: value for key, value in config.items() if key != "audio_processor"})
    alone = without_encoders(shape_from_config(name, config))
    tied = config.get("tie_word_embeddings", decoder.get("tie_word_embeddings"))
    if name == "phi4mm":
        decoder |= {"model_type": "phi3"}
    plain = shape_from_config(name, decoder | ({} if tied is None else {"tie_word_embeddings": tied}))
    assert alone.parameters == plain.parameters


LIMITED = Question("qwen3.6-27b-fp8", "l40s", max_model_len=8192, max_num_seqs=16)


@pytest.mark.parametrize("limits", ["image=0,video=0", '{"image": 0, "video": {"count": 0}}'])
def test_encoders_of_which_nothing_may_come_are_left_out(limits: str) -> None:
    text = answer(replace(LIMITED, language_model_only=True)).plan
    assert answer(replace(LIMITED, limit_mm_per_prompt=limits)).plan == text
    assert answer(replace(LIMITED, limit_mm_per_prompt="image=0")).plan == answer(LIMITED).plan


def test_few_sequences_with_few_images_encode_no_more_than_those_at_once() -> None:
    """Gemma 3: 256 tokens an image; its encoder's share of the peak is that of 4 images, not of the budget's 32."""
    asked = Question("gemma-3-27b", "h100-sxm", max_num_batched_tokens=8192, max_num_seqs=4)
    most, few, one = (
        answer(replace(asked, limit_mm_per_prompt=limits)).plan.terms.activation_bytes
        for limits in (None, "image=1", "image=0")
    )
    assert one < few < most
    assert answer(replace(asked, limit_mm_per_prompt="image=8")).plan.terms.activation_bytes == most


@pytest.mark.parametrize(
    "limits", ['{"image": {}}', "img=1", "nonsense", "image=-1", '{"image": [1]}', "{", '{"image": true}']
)
def test_limits_on_items_that_are_none_are_refused(limits: str) -> None:
    with pytest.raises(InputError) as caught:
        answer(replace(LIMITED, limit_mm_per_prompt=limits))
    assert [problem.path for problem in caught.value.problems] == ["limit_mm_per_prompt"]


def test_without_graphs_the_profile_leaves_nothing_of_them_behind() -> None:
    """vLLM 0.19.1, GLM-5.1 FP8 in eager mode on eight H200: 32.11 GiB for the KV cache."""
    asked = Question("glm-5", "h200", tp=8, dtype="fp8", max_model_len=202752, enforce_eager=True, version="0.19.1")
    assert gib(answer(asked).plan.terms.kv_bytes) == pytest.approx(32.11, rel=0.02)
    older = replace(asked, model="llama-3.1-8b", max_model_len=8192, version="0.16.0")
    runtimes = [answer(replace(older, enforce_eager=eager)).plan.terms.runtime_bytes for eager in (True, False)]
    assert runtimes[0] == runtimes[1]


@pytest.mark.parametrize(("length", "saved"), [(262_144, 0), (1_048_576, 24 * 1_048_576 * 132)])
def test_an_indexer_gathers_fewer_long_requests_from_0_32_on(length: int, saved: int) -> None:
    """40 requests of the longest length, 16 where that is above 256 k (`sparse_mla_prefill_workspace_factor`)."""
    asked = Question("glm-5.2", "h200", tp=8, dtype="fp8", max_model_len=length, max_num_batched_tokens=256)
    old, new = (answer(replace(asked, version=version)).plan.terms for version in ("0.31.0", "0.32.0"))
    assert old.activation_bytes - new.activation_bytes == pytest.approx(saved, rel=0.001)


@pytest.mark.parametrize(
    ("name", "dtype", "first"),
    [
        ("qwen3-8b", "auto", "0.22.0"),
        ("qwen3-8b", "fp8", "0.24.0"),
        ("llama-3.1-8b", "auto", "0.23.0"),
        ("llama-3.1-8b-fp8", "auto", "0.24.0"),
        ("qwen2.5-7b", "auto", "0.25.0"),
    ],
)
def test_the_newer_runner_profiles_a_leaner_sampler_from_the_version_that_serves_the_class(
    name: str, dtype: str, first: str
) -> None:
    """Six bytes of each vocabulary entry and sequence in place of fourteen (`use_v2_model_runner` of each release)."""
    versions = ("0.21.0", "0.22.0", "0.23.0", "0.24.0", "0.25.0")
    asked = Question(name, "h100-sxm", dtype=dtype, max_model_len=8192, max_num_batched_tokens=1024, max_num_seqs=1024)
    peaks = {version: answer(replace(asked, version=version)).plan.terms.activation_bytes for version in versions}
    vocabulary = answer(asked).shape.vocab
    before = versions[versions.index(first) - 1]
    assert peaks[before] == pytest.approx(peaks["0.21.0"])
    assert peaks[before] - peaks[first] == pytest.approx(1024 * vocabulary * 8, rel=0.001)


@pytest.mark.parametrize(
    ("version", "method", "newer"),
    [("0.25.0", "ngram", False), ("0.31.0", "ngram", False), ("0.32.0", "ngram", True), ("0.31.0", None, True)],
)
def test_what_the_newer_runner_does_not_draft_with_runs_in_the_older_one(
    version: str, method: str | None, newer: bool
) -> None:
    """Thirty bytes of each vocabulary entry and sequence where drafts are rejected, six in the newer runner."""
    asked = Question("qwen2.5-7b", "h100-sxm", max_model_len=8192, max_num_batched_tokens=1024, max_num_seqs=1024)
    asked = replace(asked, version=version, speculative_method=method, num_speculative_tokens=2 if method else 0)
    found = answer(asked)
    sampled = 1024 * found.shape.vocab * (6 if newer else 30)
    assert sampled <= found.plan.terms.activation_bytes <= sampled + 2**28


@pytest.mark.parametrize(
    ("gpu", "version", "asked", "graphs"),
    [
        ("h100-sxm", "0.28.0", {}, 51 + 51),
        ("b200", "0.27.0", {}, 51 + 51),
        ("b200", "0.28.0", {}, 83 + 83),
        ("b200", "0.28.0", {"max_cudagraph_capture_size": 512}, 51 + 51),
        ("h100-sxm", "0.28.0", {"max_num_seqs": 16}, 7 + 5),
        ("h100-sxm", "0.28.0", {"max_num_seqs": 16, "num_speculative_tokens": 3}, 19 + 11),
        ("h100-sxm", "0.12.0", {"max_num_seqs": 16, "num_speculative_tokens": 3}, 7 + 5),
    ],
)
def test_graphs_are_captured_up_to_twice_a_step_of_decoding_with_its_drafts(
    gpu: str, version: str, asked: dict[str, Any], graphs: int
) -> None:
    """Sizes 1, 2, 4, each eighth up to 256 and each sixteenth on, to 512, or 1,024 on data-centre Blackwell from 0.28
    (`_set_cudagraph_sizes`)."""
    method = "ngram" if "num_speculative_tokens" in asked else None
    question = Question("llama-3.1-8b", gpu, version=version, max_model_len=8192, speculative_method=method, **asked)
    found = answer(question).plan.terms.graph_bytes
    assert (found - overheads().graph_first) / (overheads().graph_layer * 32) == pytest.approx(graphs)


@pytest.mark.parametrize(
    ("gpu", "version", "kv_dtype", "drafts", "graphs"),
    [
        ("rtx-3090", "0.24.0", "fp8", 3, 5),
        ("rtx-5090", "0.27.0", "fp8_e4m3", 3, 5),
        ("l40s", "0.20.0", "fp8", 7, 7),
        ("rtx-3090", "0.24.0", "fp8", 0, None),
        ("rtx-3090", "0.24.0", "auto", 3, None),
        ("h100-sxm", "0.24.0", "fp8", 3, None),
        ("rtx-3090", "0.28.0", "fp8", 3, None),
    ],
)
def test_drafts_over_keys_in_fp8_are_verified_in_graphs_of_mixed_batches_alone_where_flashinfer_attends(
    gpu: str, version: str, kv_dtype: str, drafts: int, graphs: int | None
) -> None:
    """Logged: "FULL_AND_PIECEWISE is not supported with spec-decode for attention backend FlashInferBackend", then
    "PIECEWISE=5 (largest=16)" for two sequences of 1 + 3 tokens and "PIECEWISE=7 (largest=32)", at 0.11 to 0.17 GiB."""
    asked = Question("qwen3.6-27b-fp8", gpu, version=version, max_model_len=65536, max_num_seqs=2, kv_dtype=kv_dtype)
    if drafts:
        asked = replace(asked, speculative_method="mtp", num_speculative_tokens=drafts)
    found = answer(replace(asked, tp=2)).plan.terms.graph_bytes
    layers = overheads().graph_layer * 64
    if graphs is None:
        assert found > overheads().graph_first + 4 * layers
        return
    assert (found - overheads().graph_first_mixed) / layers == pytest.approx(graphs)
    assert 0.11 <= found / BYTES_PER_GIB <= 0.17


def test_videos_of_qwen3_vl_are_held_with_the_words_between_their_tokens() -> None:
    """vLLM 0.11 and 0.12 take a video of 12,288 tokens for 153,600 and hold four outputs of 4,096 for each of them,
    where 0.13 holds those of an image of 16,384; pixels are held in both, 4 patches of 1,536 a token."""
    asked = Question("qwen3-vl-8b", "a100-80", max_model_len=32768, max_num_seqs=256, max_num_batched_tokens=2048)

    def peak(version: str, limits: str | None = None) -> float:
        question = replace(asked, version=version, limit_mm_per_prompt=limits)
        return answer(question).plan.terms.activation_bytes

    spelled = (12288 + 153600) * 4 * 4096 * 2 + 12288 * 4 * 1536 * 2
    image = 16384 * 4 * 4096 * 2 + 16384 * 4 * 1536 * 2
    assert peak("0.11.0") - peak("0.13.0") == pytest.approx(spelled - image)
    assert peak("0.12.0") == peak("0.11.0")
    assert peak("0.10.2") == peak("0.13.0") == peak("0.12.0", "image=1,video=0")


def test_a_checkpoint_that_is_named_has_the_formats_that_its_publisher_gave_it() -> None:
    """NVIDIA's Gemma 4 31B in NVFP4 loads 31.18 GiB (a published start of the engine); all in 4 bits were 19.5."""
    terms = answer(Question("nvidia/Gemma-4-31B-IT-NVFP4", "b200", version="0.23.0")).plan.terms
    assert terms.weight_bytes / 2**30 == pytest.approx(31.18, rel=0.01)


def test_the_newer_runner_captures_no_graph_before_memory_is_shared_out() -> None:
    """vLLM 0.26 on a card of 15.55 GiB, Qwen2.5 0.5B in 16 bit, 0.9, 32,768 tokens a step: a peak of 1.06 GiB,
    0.07 outside torch, graphs of 0.4 afterwards, 1,043,072 tokens. Up to 0.28 `profile_cudagraph_memory` returns 0."""
    card = Card("mine", 15.55 * BYTES_PER_GIB, "blackwell-rtx", peers=False)
    asked = Question("qwen2.5-0.5b", "", gpu_memory_utilization=0.9, max_num_batched_tokens=32768, card=card)
    asked = replace(asked, version="0.26.0")
    found = answer(asked).plan
    assert found.kv_tokens == pytest.approx(1_043_072, rel=0.015)
    assert found.terms.graph_bytes > 0
    assert not found.terms.graphs_in_budget
    assert not answer(replace(asked, version="0.28.0")).plan.terms.graphs_in_budget
    assert answer(replace(asked, version="0.29.0")).plan.terms.graphs_in_budget


def test_what_penalties_count_lies_in_the_budget_from_0_27_on_and_beside_it_before() -> None:
    """Four bytes and a bit of each sequence that may run and entry of the vocabulary (`PenaltiesState`)."""

    def found(version: str, sequences: int) -> Plan:
        asked = Question("llama-3.1-8b", "h100-sxm", version=version, max_num_seqs=sequences)
        return answer(replace(asked, gpu_memory_utilization=0.97)).plan

    more = {v: found(v, 1024).terms.runtime_bytes - found(v, 512).terms.runtime_bytes for v in ("0.26.0", "0.27.0")}
    assert more == {"0.26.0": 0, "0.27.0": 512 * 128256 * 4.125}
    assert found("0.26.0", 256).fits
    assert not found("0.26.0", 4096).fits


def test_nothing_is_sampled_by_a_model_that_embeds() -> None:
    """`_dummy_pooler_run` takes the sampler's place in the profile, so a step's activations are the peak."""
    one, many = (
        answer(Question("qwen3-embedding-8b", "h100-sxm", max_num_seqs=sequences, version="0.12.0")).plan.terms
        for sequences in (1, 1024)
    )
    assert one.activation_bytes == many.activation_bytes == 8192 * (4096 + 3 * 12288) * 2
