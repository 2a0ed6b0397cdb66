"""What vLLM refuses of a scenario's engine is told at its place, and what it changes is changed and told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.topology import changes_placed, plan_topologies
from simulator.scenario.load import load_scenario
from simulator.schema.engine import EngineSettings

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
EAGLE = {"method": "eagle", "num_speculative_tokens": 3, "acceptance": 0.7}
BY_MODEL = {"method": "draft_model", "num_speculative_tokens": 2, "acceptance": 0.7, "model": "tinyllama-1.1b"}


def planned(model: str = "llama-3.1-8b", tp: int = 1, **settings: object) -> PlannedEngine:
    return plan_engine(model, "h100-sxm", tp, 1, EngineSettings.model_validate(settings), Path())


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
@pytest.mark.parametrize(
    ("model", "settings", "key", "words"),
    [
        (
            "llama-3.1-8b",
            {"max_num_seqs": 512, "max_num_batched_tokens": 256},
            "max_num_batched_tokens",
            r"\(256\) must be at least max_num_seqs \(512\)",
        ),
        (
            "llama-3.1-8b",
            {"long_prefill_token_threshold": 9000, "max_model_len": 8192},
            "long_prefill_token_threshold",
            r"\(9000\) cannot be greater than max_model_len \(8192\)",
        ),
        (
            "gpt-oss-20b",
            {"enable_chunked_prefill": False, "max_model_len": 8192, "max_num_batched_tokens": 4096},
            "max_num_batched_tokens",
            r"\(4096\) is smaller than max_model_len \(8192\), and without chunked prefill",
        ),
        (
            "qwen3-next-80b-a3b",
            {"enable_chunked_prefill": False, "max_model_len": 2048, "max_num_batched_tokens": 4096},
            "enable_chunked_prefill",
            "required for the prefix caching of linear attention",
        ),
        (
            "qwen3-next-80b-a3b",
            {"enable_prefix_caching": False, "kv_offloading_size": 100},
            "enable_prefix_caching",
            "a state beside attention need prefix caching to keep blocks in the memory of the CPU",
        ),
        (
            "llama-4-scout",
            {"speculative_config": EAGLE, "disable_hybrid_kv_cache_manager": False},
            "disable_hybrid_kv_cache_manager",
            "does not support chunked local attention with EAGLE",
        ),
    ],
)
def test_what_vllm_refuses_is_refused_at_its_key(
    version: str, model: str, settings: dict[str, object], key: str, words: str
) -> None:
    tp = 1 if model in ("llama-3.1-8b", "gpt-oss-20b") else 4
    with pytest.raises(InputError, match=words) as caught:
        planned(model, tp, version=version, **settings)
    assert [problem.path for problem in caught.value.problems] == [f"engine.{key}"]
    assert caught.value.problems[0].got == str(settings[key]).lower()


def test_a_cache_of_another_float_is_refused_since_0_33() -> None:
    assert planned(version="0.32.0", kv_cache_dtype="float16").notes == ()
    with pytest.raises(InputError, match="float16 is incompatible with a model in bfloat16") as caught:
        planned(version="0.33.0", kv_cache_dtype="float16")
    assert caught.value.problems[0].path == "engine.kv_cache_dtype"
    assert planned(version="0.33.0", kv_cache_dtype="float16", dtype="float16").notes == ()


def test_the_draft_models_context_bounds_requests_since_0_33() -> None:
    before, after = (
        planned("llama-2-13b", version=version, speculative_config=BY_MODEL) for version in ("0.32", "0.33")
    )
    assert before.config.max_model_len == 4096
    assert after.config.max_model_len == 2048
    assert [note for note in after.notes if note.startswith("max_model_len: the draft model takes sequences of 2048")]
    assert not any("max_model_len" in note for note in before.notes)


def test_local_chunks_with_a_drafter_have_one_table_and_the_run_says_why() -> None:
    engine = planned("llama-4-scout", 4, speculative_config=EAGLE)
    assert engine.config.modes.groups == ()
    assert any(note.startswith("disable_hybrid_kv_cache_manager: ") for note in engine.notes)
    assert not any("disable_hybrid" in note for note in planned("llama-4-scout", 4).notes)


def test_limits_that_are_left_to_vllm_fit_each_other() -> None:
    """Without chunked prefill a step holds the longest prompt; no more sequences than tokens."""
    whole = planned(enable_chunked_prefill=False, max_model_len=20_000)
    assert whole.config.max_num_batched_tokens == 20_000
    assert planned(max_model_len=20_000).config.max_num_batched_tokens == 8192
    assert planned(max_num_batched_tokens=64).config.max_num_seqs == 64


@pytest.mark.parametrize("at", ["engine", "topologies.own.pools[base].engine"])
def test_the_place_is_where_the_engine_was_written(at: str) -> None:
    sets = [f"{at}.max_num_batched_tokens=256", f"{at}.max_num_seqs=512"]
    with pytest.raises(InputError, match="must be at least max_num_seqs") as caught:
        plan_topologies(load_scenario(SCENARIO, sets=sets))
    problem = caught.value.problems[0]
    assert problem.path == f"{at.replace('[base]', '[0]')}.max_num_batched_tokens"
    assert "max_num_batched_tokens=256" in str(problem.file)


NGRAM = "{method: ngram, num_speculative_tokens: 3, acceptance: 0.5}"
ALONE = (
    "topologies={own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, tensor_parallel_size: 4, replicas: 1,"
    " billing: owned}]}}"
)


@pytest.mark.parametrize(
    ("sets", "at", "words"),
    [
        ([f"engine.speculative_config={NGRAM}"], 0, "async_scheduling: auto is off: .* not with ngram-based"),
        ([f"engine.speculative_config={NGRAM}", "engine.async_scheduling=auto"], 1, "async_scheduling: auto is off"),
        (["engine.prefill_schedule_interval=4"], 0, "no effect without data parallelism"),
        (["model=qwen3-next-80b-a3b", "engine.block_size=32"], 1, "blocks of 32 tokens become 288 long"),
        (["engine.version='0.13'"], 0, "rules are those of vLLM 0.32.0: none of 0.13 was recorded"),
    ],
)
def test_what_vllm_turns_off_is_told_where_it_was_asked_for(sets: list[str], at: int, words: str) -> None:
    """A key that nobody wrote is told of at the drafts that bring it about."""
    (planned,) = plan_topologies(load_scenario(SCENARIO, sets=[ALONE, *sets]))
    (told,) = changes_placed(planned)
    assert told.startswith(f"--set {sets[at]}: ")
    assert re.search(words, told)


def test_a_change_that_nothing_written_brings_about_stands_at_its_pool() -> None:
    sets = ["model=qwen3-next-80b-a3b", "engine={version: '0.13'}", ALONE]
    (planned,) = plan_topologies(load_scenario(SCENARIO, sets=sets))
    told = [text for text in changes_placed(planned) if "enable_prefix_caching: " in text]
    assert [text.partition(": enable_prefix")[0] for text in told] == [f"--set {ALONE}"]


def test_an_engine_that_vllm_leaves_as_it_is_asked_for_has_no_change() -> None:
    assert planned(block_size=32, enable_prefix_caching=False, async_scheduling="auto").changes == ()
