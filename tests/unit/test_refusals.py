"""What vLLM refuses or turns off: rule by rule, by version, at the key that asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.engine.modes.refusals import Asked, Effect, refusals, settle
from simulator.engine.modes.spec import GroupKind

FULL, WINDOW, CHUNK, LINEAR = GroupKind.FULL, GroupKind.WINDOW, GroupKind.CHUNK, GroupKind.LINEAR
V32, V33 = "0.32.0", "0.33.0"


@pytest.mark.parametrize("version", [V32, V33])
@pytest.mark.parametrize("layers", [{FULL}, {FULL, CHUNK}, {FULL, WINDOW}])
def test_a_plain_engine_is_taken_as_it_is_and_runs_asynchronously(version: str, layers: frozenset[GroupKind]) -> None:
    made, findings = settle(Asked(layers=layers), version)
    assert findings == []
    assert made.async_scheduling is True


@pytest.mark.parametrize(
    ("asked", "versions", "key", "words"),
    [
        (
            {"async_scheduling": True, "use_v2_model_runner": False, "pipeline_parallel_size": 2},
            (V32, V33),
            "async_scheduling",
            "V1 model runner with pipeline parallelism",
        ),
        (
            {"async_scheduling": True, "method": "ngram", "num_speculative_tokens": 3},
            (V32,),
            "async_scheduling",
            "not with ngram-based speculative decoding",
        ),
        (
            {"async_scheduling": True, "method": "ngram", "num_speculative_tokens": 3, "use_v2_model_runner": False},
            (V32, V33),
            "async_scheduling",
            "ngram-based speculative decoding",
        ),
        (
            {"async_scheduling": False, "method": "eagle", "num_speculative_tokens": 3, "pipeline_parallel_size": 2},
            (V32, V33),
            "async_scheduling",
            "stands still",
        ),
        (
            {"layers": {FULL, LINEAR}, "enable_chunked_prefill": False},
            (V32, V33),
            "enable_chunked_prefill",
            "required for the prefix caching of linear attention",
        ),
        (
            {"layers": {FULL, LINEAR}, "offloads": True, "enable_prefix_caching": False},
            (V32, V33),
            "enable_prefix_caching",
            "need prefix caching to keep blocks in the memory of the CPU",
        ),
        (
            {"layers": {FULL, LINEAR}, "disable_chunked_mm_input": True},
            (V32, V33),
            "disable_chunked_mm_input",
            "chunked multimodal input",
        ),
        (
            {"layers": {FULL, CHUNK}, "disable_hybrid_kv_cache_manager": False, "method": "eagle"},
            (V32, V33),
            "disable_hybrid_kv_cache_manager",
            "chunked local attention with EAGLE",
        ),
        (
            {"method": "mtp", "num_speculative_tokens": 5, "mtp_modules": 5, "block_size": 4},
            (V32, V33),
            "speculative.num_speculative_tokens",
            "block_size (4) of at least num_speculative_tokens (5)",
        ),
        (
            {"enable_lora": True, "method": "eagle", "num_speculative_tokens": 3, "max_num_batched_tokens": 512},
            (V32, V33),
            "enable_lora",
            "max_num_seqs (256) times 1 + num_speculative_tokens (3)",
        ),
        (
            {"method": "dspark", "num_speculative_tokens": 3, "use_v2_model_runner": False},
            (V32, V33),
            "speculative.method",
            "V1 does not support dspark",
        ),
        (
            {"method": "draft_model", "num_speculative_tokens": 3, "max_num_batched_tokens": 1, "max_num_seqs": 1},
            (V32, V33),
            "speculative.num_speculative_tokens",
            "no room for a token and the",
        ),
        (
            {"method": "eagle", "num_speculative_tokens": 3, "max_num_batched_tokens": 3, "max_num_seqs": 1},
            (V33,),
            "speculative.num_speculative_tokens",
            "slots of its drafts",
        ),
        ({"enable_chunked_prefill": False, "max_model_len": 9000}, (V32, V33), "max_num_batched_tokens", "(9000)"),
        ({"kv_cache_dtype": "float16"}, (V33,), "kv_cache_dtype", "float16 is incompatible with a model in bfloat16"),
        ({"max_num_seqs": 9000}, (V32, V33), "max_num_batched_tokens", "at least max_num_seqs (9000)"),
        ({"max_num_active_seqs": 257}, (V32, V33), "max_num_active_seqs", "(257) cannot be greater"),
        ({"long_prefill_token_threshold": 8193}, (V32, V33), "long_prefill_token_threshold", "(8193)"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], versions: tuple[str, ...], key: str, words: str) -> None:
    for version in (V32, V33):
        found = refusals(Asked(**asked), version)
        if version in versions:
            assert [finding.key for finding in found] == [key], version
            assert words in found[0].message
        else:
            assert found == []


@pytest.mark.parametrize(
    ("asked", "versions", "key", "effect", "change"),
    [
        (
            {"use_v2_model_runner": False, "pipeline_parallel_size": 2},
            (V32, V33),
            "async_scheduling",
            Effect.CHANGED,
            {"async_scheduling": False},
        ),
        (
            {"method": "ngram", "num_speculative_tokens": 3},
            (V32,),
            "async_scheduling",
            Effect.CHANGED,
            {"async_scheduling": False},
        ),
        (
            {"method": "ngram", "num_speculative_tokens": 3, "use_v2_model_runner": False},
            (V32, V33),
            "async_scheduling",
            Effect.CHANGED,
            {"async_scheduling": False},
        ),
        ({"on_cpu": True}, (V32, V33), "async_scheduling", Effect.SILENT, {"async_scheduling": False}),
        (
            {"method": "eagle", "drafts_by_batch_size": True, "data_parallel_size": 2},
            (V32, V33),
            "speculative.num_speculative_tokens_per_batch_size",
            Effect.CHANGED,
            {"drafts_by_batch_size": False},
        ),
        (
            {"method": "draft_model", "num_speculative_tokens": 3, "draft_max_model_len": 1024},
            (V33,),
            "max_model_len",
            Effect.CHANGED,
            {"max_model_len": 1024},
        ),
        (
            {"layers": {FULL, CHUNK}, "method": "eagle"},
            (V32, V33),
            "disable_hybrid_kv_cache_manager",
            Effect.SILENT,
            {"disable_hybrid_kv_cache_manager": True},
        ),
        (
            {"layers": {FULL, WINDOW}, "connector_takes_groups": False},
            (V32, V33),
            "disable_hybrid_kv_cache_manager",
            Effect.CHANGED,
            {"disable_hybrid_kv_cache_manager": True},
        ),
        (
            {"layers": {FULL, LINEAR}},
            (V32, V33),
            "mamba_cache_mode",
            Effect.SILENT,
            {"mamba_cache_mode": "align"},
        ),
        (
            {"layers": {FULL, LINEAR}, "mamba_cache_mode": "align", "enable_prefix_caching": False},
            (V32, V33),
            "mamba_cache_mode",
            Effect.CHANGED,
            {"mamba_cache_mode": "none"},
        ),
        (
            {"method": "dflash", "num_speculative_tokens": 7, "max_num_batched_tokens": 512},
            (V33,),
            "max_num_active_seqs",
            Effect.CHANGED,
            {"max_num_active_seqs": 64},
        ),
        (
            {"prefill_schedule_interval": 4},
            (V32,),
            "prefill_schedule_interval",
            Effect.SILENT,
            {"prefill_schedule_interval": 1},
        ),
    ],
)
def test_what_is_changed(
    asked: dict[str, Any], versions: tuple[str, ...], key: str, effect: Effect, change: dict[str, Any]
) -> None:
    for version in (V32, V33):
        made, findings = settle(Asked(**asked), version)
        if version in versions:
            assert [(finding.key, finding.effect) for finding in findings] == [(key, effect)], version
            assert {name: getattr(made, name) for name in change} == change
        else:
            assert findings == []


@pytest.mark.parametrize(
    ("taken", "beyond", "versions", "key"),
    [
        ({"prefill_schedule_interval": 1}, {"prefill_schedule_interval": 2}, (V32,), "prefill_schedule_interval"),
        (
            {"prefill_schedule_interval": 2, "data_parallel_size": 2},
            {"prefill_schedule_interval": 2, "data_parallel_size": 1},
            (V32,),
            "prefill_schedule_interval",
        ),
        (
            {"enable_chunked_prefill": False, "max_model_len": 8192},
            {"enable_chunked_prefill": False, "max_model_len": 8193},
            (V32, V33),
            "max_num_batched_tokens",
        ),
        ({"max_num_seqs": 8192}, {"max_num_seqs": 8193}, (V32, V33), "max_num_batched_tokens"),
        ({"max_num_active_seqs": 256}, {"max_num_active_seqs": 257}, (V32, V33), "max_num_active_seqs"),
        (
            {"long_prefill_token_threshold": 8192},
            {"long_prefill_token_threshold": 8193},
            (V32, V33),
            "long_prefill_token_threshold",
        ),
        (
            {"method": "mtp", "num_speculative_tokens": 4, "mtp_modules": 4, "block_size": 4},
            {"method": "mtp", "num_speculative_tokens": 5, "mtp_modules": 5, "block_size": 4},
            (V32, V33),
            "speculative.num_speculative_tokens",
        ),
        (
            {"enable_lora": True, "method": "eagle", "num_speculative_tokens": 3, "max_num_batched_tokens": 1024},
            {"enable_lora": True, "method": "eagle", "num_speculative_tokens": 3, "max_num_batched_tokens": 1023},
            (V32, V33),
            "enable_lora",
        ),
    ],
)
def test_a_limit_is_taken_and_what_is_beyond_it_is_told(
    taken: dict[str, Any], beyond: dict[str, Any], versions: tuple[str, ...], key: str
) -> None:
    for version in (V32, V33):
        assert settle(Asked(**taken), version)[1] == [], version
        told = [finding.key for finding in settle(Asked(**beyond), version)[1]]
        assert told == ([key] if version in versions else []), version


def test_a_drafter_that_only_the_v1_runner_has_takes_asynchronous_scheduling_along() -> None:
    made, findings = settle(Asked(method="medusa", num_speculative_tokens=3), V32)
    assert [finding.key for finding in findings] == ["speculative.method", "async_scheduling"]
    assert (made.use_v2_model_runner, made.async_scheduling) == (False, False)
    made, findings = settle(Asked(method="suffix", num_speculative_tokens=3), V33)
    assert [finding.key for finding in findings] == ["speculative.method", "async_scheduling"]


def test_a_version_that_is_not_known_is_taken_for_the_newest() -> None:
    asked = Asked(async_scheduling=True, method="ngram", num_speculative_tokens=3)
    assert refusals(asked, "0.99.0") == refusals(asked, V33) == []
    assert refusals(asked, V32)
