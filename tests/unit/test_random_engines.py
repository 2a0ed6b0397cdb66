"""Random engines on paper: modes that go together, work that fits, the same every time."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest

from calibrate.experiments.core_schedules import asked_of
from calibrate.experiments.engine_modes import DRAFTS, MODES, RARE_DRAFTS, fit_together, parse_modes
from calibrate.experiments.random_engines import DrawnEngine, _fit, draw_engine
from simulator.engine.modes.refusals import refusals
from simulator.engine.modes.spec import GroupKind
from simulator.errors import InputError


@cache
def drawn_engines() -> list[DrawnEngine]:
    return [draw_engine(3, number, MODES) for number in range(250)]


@cache
def at_edges() -> list[DrawnEngine]:
    return [draw_engine(3, number, MODES, edges=True) for number in range(250)]


def test_engines_at_their_limits_are_in_more_modes_and_their_requests_fit() -> None:
    assert [draw_engine(3, number, MODES, edges=True) for number in range(5)] == at_edges()[:5]
    assert sum(len(drawn.modes) for drawn in at_edges()) > 1.5 * sum(len(drawn.modes) for drawn in drawn_engines())
    together = {pair for drawn in at_edges() for pair in combinations(drawn.modes, 2)}
    assert {("nixl-prefill", "abort"), ("store", "reset")} <= together
    assert any((drafter, "nixl-prefill") in together for drafter in DRAFTS)
    prompts, osls = set(), set()
    for drawn in at_edges():
        assert all(fit_together(one, other, edges=True) for one, other in combinations(drawn.modes, 2)), drawn.mode
        assert drawn.engine["max_num_batched_tokens"] >= drawn.engine["max_num_seqs"]
        for row in drawn.requests:
            isl = sum(tokens for _, tokens in row["prompt"])
            assert isl + row["osl"] <= drawn.engine["max_model_len"], drawn.mode
            size, inputs = drawn.engine["block_size"], drawn.engine["max_num_batched_tokens"]
            prompts.add("one" if isl == 1 else "whole" if isl % size == 0 else "beyond" if isl > inputs else "other")
            osls.add(min(row["osl"], 2))
    assert prompts == {"one", "whole", "beyond", "other"}
    assert osls == {1, 2}


def test_the_same_seed_and_number_give_the_same_engine() -> None:
    again = [draw_engine(3, number, MODES) for number in range(5)]
    assert again == drawn_engines()[:5]
    assert draw_engine(4, 0, MODES) != drawn_engines()[0]


def test_every_mode_is_drawn_and_none_beside_one_that_it_excludes() -> None:
    assert {mode for drawn in drawn_engines() for mode in drawn.modes} == set(MODES)
    for drawn in drawn_engines():
        assert all(fit_together(one, other) for one, other in combinations(drawn.modes, 2)), drawn.mode


def test_what_excludes_excludes_both_ways() -> None:
    assert all(fit_together(one, other) == fit_together(other, one) for one, other in combinations(MODES, 2))
    assert not fit_together("eagle", "mtp")
    assert not fit_together("chunking-off", "linear-prefix")
    assert fit_together("async", "hybrid")


def test_requests_fit_their_engine() -> None:
    for drawn in drawn_engines():
        for row in drawn.requests:
            isl = sum(tokens for _, tokens in row["prompt"])
            assert isl + row["osl"] <= drawn.engine["max_model_len"], drawn.mode
            assert all(offset + size <= isl for offset, size, _ in row.get("images", ()))


def test_limits_agree_with_each_other() -> None:
    """A step takes a token of each sequence, three sequences with drafts, or a whole prompt where none is cut."""
    for drawn in drawn_engines():
        engine, modes = drawn.engine, set(drawn.modes)
        drafts = engine.get("speculative", {}).get("num_speculative_tokens", 0)
        batched, longest = engine["max_num_batched_tokens"], engine["max_model_len"]
        assert batched >= engine["max_num_seqs"]
        if drafts:
            assert min(batched, engine.get("max_num_scheduled_tokens", batched)) >= 3 * (drafts + 2), drawn.mode
        if "chunking-off" in modes:
            assert longest <= 512
            assert batched >= longest + drafts + 2
            assert "max_num_scheduled_tokens" not in engine
        assert engine["long_prefill_token_threshold"] <= longest
        assert longest <= max(4, (engine["num_gpu_blocks"] - 4) * engine["block_size"])
        for row in drawn.requests:
            assert sum(tokens for _, tokens in row["prompt"]) + row["osl"] <= longest - 4 * drafts - 2


@pytest.mark.parametrize(
    ("given", "expected", "room"),
    [
        ({}, {"max_num_batched_tokens": 21, "max_num_scheduled_tokens": 21, "max_model_len": 1552}, 1530),
        ({"speculative": {}}, {"max_num_batched_tokens": 16, "max_num_scheduled_tokens": 16}, 1550),
        ({"speculative": {}, "max_num_seqs": 40}, {"max_num_batched_tokens": 40, "max_num_scheduled_tokens": 16}, 1550),
        ({"enable_chunked_prefill": False}, {"max_num_batched_tokens": 519, "max_model_len": 512}, 490),
        ({"num_gpu_blocks": 21}, {"max_model_len": 272, "long_prefill_token_threshold": 272}, 250),
    ],
)
def test_limits_by_hand(given: dict[str, object], expected: dict[str, int], room: int) -> None:
    """97 of 100 blocks of 16 tokens; three sequences of two tokens and five drafts."""
    engine = {
        "num_gpu_blocks": 101,
        "block_size": 16,
        "max_model_len": 2048,
        "max_num_batched_tokens": 16,
        "max_num_scheduled_tokens": 16,
        "max_num_seqs": 8,
        "enable_chunked_prefill": True,
        "long_prefill_token_threshold": 4096,
        "speculative": {"num_speculative_tokens": 5},
        **given,
    }
    assert _fit(engine) == room
    assert {name: engine[name] for name in expected} == expected
    assert engine["long_prefill_token_threshold"] == engine["max_model_len"]
    assert ("max_num_scheduled_tokens" in engine) == engine["enable_chunked_prefill"]


def test_modes_reach_engine_requests_and_events() -> None:
    for drawn in drawn_engines():
        modes = set(drawn.modes)
        assert drawn.engine["enable_chunked_prefill"] == ("chunking-off" not in modes)
        assert ("max_loras" in drawn.engine) == ("lora" in modes)
        assert (drawn.engine["policy"] == "priority") == ("priority" in modes)
        assert ("offload" in drawn.engine) == ("offload" in modes) == (drawn.engine.get("connector") == "offload")
        assert all(("store_steps" in row) == ("offload" in modes) for row in drawn.requests)
        assert any("abort" in event for event in drawn.events) <= ("abort" in modes)
        assert all(("rank" in row) == bool({"data-parallel", "ranks-connected"} & set(modes)) for row in drawn.requests)


def test_states_are_saved_where_there_are_some_for_the_prefix_cache() -> None:
    drawn = [draw_engine(3, number, ("saved-states", "linear", "linear-prefix")) for number in range(30)]
    saved = [bool(one.engine.get("saved_states")) for one in drawn]
    assert saved == [{"saved-states", "linear-prefix"} <= set(one.modes) for one in drawn]
    assert any(saved)


def test_modes_are_named_or_all_or_none() -> None:
    named_only = {
        "offload",
        "many-samples",
        "linear-connected",
        "linear-prefix-connected",
        "linear-windows",
        "ranks-connected",
        "two-lengths",
        "late-arrivals",
        "saved-states",
        *RARE_DRAFTS,
    }
    assert parse_modes(",".join(["all", *named_only])) == MODES
    assert set(MODES) - set(parse_modes("all")) == named_only
    assert parse_modes("plain") == ()
    assert parse_modes("abort, async") == ("async", "abort")
    assert draw_engine(1, 1, ()).modes == ()
    assert {draw_engine(1, number, ("async",)).mode for number in range(5)} == {"async"}


def test_a_name_that_is_no_mode_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        parse_modes("async,hybrit")
    (problem,) = caught.value.problems
    assert (problem.path, problem.got) == ("--modes", "hybrit")
    assert "hybrid" in problem.message


def test_what_vllm_would_refuse_is_known_before_it_is_asked() -> None:
    asked = [(drawn, asked_of(drawn.engine)) for drawn in drawn_engines()]
    for drawn, one in asked:
        assert one.method == drawn.engine.get("speculative", {}).get("method", "")
        assert (GroupKind.CHUNK in one.layers) == ("local-chunks" in drawn.modes)
    both = [draw_engine(3, number, ("async", "ngram")) for number in range(20)]
    with_ngrams = [asked_of(drawn.engine) for drawn in both if drawn.modes == ("async", "ngram")]
    assert with_ngrams
    assert all(refusals(one, "0.32.0") and not refusals(one, "0.33.0") for one in with_ngrams)
