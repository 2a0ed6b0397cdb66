"""Keys that ask for a mode: each reaches what it names, and is refused in words where that is not simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.engine.config import EngineConfig, Policy
from simulator.engine.modes.spec import DraftOdds, Encoder, Waves
from simulator.errors import InputError
from simulator.resolve.demand import workload_spec
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of
from simulator.workload.spec import Adapters, Brought, Constant, Images, Leaves, StructuredOutputs
from tests.scenario_cases import chat

CLASS = "workload.classes[0]"
SEES = "model=ministral-3-8b"
ONE = "a: {pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}"
TWO = "a: {pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 2, billing: owned}]}"
SEQS = "engine.max_num_seqs=64"
WHOLE = "engine.disable_chunked_mm_input=true"
EAGLE = "engine.speculative_config={method: eagle, num_speculative_tokens: 3, acceptance: 0.7}"
DRAFT_MODEL = (
    "engine.speculative_config={method: draft_model, model: llama-3.2-1b, num_speculative_tokens: 2, acceptance: 0.7}"
)
BY_SIZE = (
    "engine.speculative_config={method: eagle, num_speculative_tokens: 3, acceptance: 0.7,"
    " num_speculative_tokens_per_batch_size: %s}"
)
API = "a: {providers: [{name: together, offer: together/llama-3.3-70b}]}"


def engine(tmp_path: Path, *sets: str) -> EngineConfig:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(ONE, study="months: 1"))
    return plan_topology(load_scenario(file, sets=sets), "a").fleet.pools[0].engine


def refused(tmp_path: Path, topology: str, *sets: str) -> str:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(topology, study="months: 1"))
    with pytest.raises(InputError) as caught:
        plan_topology(load_scenario(file, sets=sets), "a")
    (problem,) = caught.value.problems
    assert problem.file is not None
    assert problem.line is not None or problem.file.startswith("--set")
    return str(problem)


def test_limits_below_those_that_memory_is_kept_for(tmp_path: Path) -> None:
    plain, fewer = (engine(tmp_path, *sets) for sets in ((), ("engine.max_num_active_seqs=40",)))
    assert (plain.max_num_seqs, fewer.max_num_seqs) == (1024, 40)
    assert fewer.num_blocks == plain.num_blocks
    shorter = engine(tmp_path, "engine.max_num_scheduled_tokens=512")
    assert (shorter.max_num_batched_tokens, shorter.modes.max_num_scheduled_tokens) == (512, 512)
    assert replace(shorter, max_num_batched_tokens=8192, modes=plain.modes) == plain
    assert engine(tmp_path, "engine.max_num_scheduled_tokens=99999") == plain


def test_a_draft_model_takes_inputs_beside_the_tokens_of_a_plan(tmp_path: Path) -> None:
    plain, fewer = (engine(tmp_path, DRAFT_MODEL, *sets) for sets in ((), ("engine.max_num_scheduled_tokens=512",)))
    assert fewer.draft_slots == 1
    assert (fewer.max_num_batched_tokens, fewer.modes.max_num_scheduled_tokens) == (plain.max_num_batched_tokens, 512)
    assert replace(fewer, modes=plain.modes) == plain
    assert fewer.modes.max_in_flight_tokens == plain.modes.max_in_flight_tokens


def test_answers_to_one_request_are_asked_for_by_priority(tmp_path: Path) -> None:
    made = engine(tmp_path, f"{CLASS}.n=10", "engine.scheduling_policy=priority")
    assert made.policy == Policy.PRIORITY


@pytest.mark.parametrize(
    ("topology", "sets", "told"),
    [
        (ONE, ("engine.max_num_active_seqs=2000",), r"(2000) cannot be greater than max_num_seqs (1024) (got 2000)"),
        (
            ONE,
            ("engine.max_num_scheduled_tokens=2", DRAFT_MODEL),
            "engine.speculative_config.num_speculative_tokens: a step must have room for a token, its 2 drafts",
        ),
        (TWO, (f"{CLASS}.n=2",), f"{CLASS}.n: topology a: the answers of a request come from one replica, but routing"),
        (API, (f"{CLASS}.n=2",), "a token API reads a prompt once for all of them"),
        ("a: {}", (f"{CLASS}.n=2",), "topologies.a: needs at least one pool or provider"),
        (
            ONE,
            (f"{CLASS}.n=2", f"{CLASS}.arrivals={{kind: closed_loop, concurrency: 3}}"),
            f"{CLASS}.n: closed_loop arrivals wait for one answer",
        ),
    ],
)
def test_what_is_not_simulated_or_cannot_be_is_refused_at_its_key(
    tmp_path: Path, topology: str, sets: tuple[str, ...], told: str
) -> None:
    assert told in refused(tmp_path, topology, *sets)


def test_keys_of_a_class_reach_its_requests(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(TWO, study="months: 1", rate_rps=3, horizon_s=20))
    sets = [f"{CLASS}.n=2", f"{CLASS}.cache_salts=5", "topologies.a.pools[p].routing=session_sticky"]
    loaded = load_scenario(file, sets=sets)
    plan_topology(loaded, "a")
    (cls,) = workload_spec(loaded.scenario, tmp_path).classes
    assert (cls.n, cls.cache_salts) == (2, 5)
    requests = next(iter(demand_of(loaded).source(0).chunks()))
    assert np.array_equal(requests.arrival_s[::2], requests.arrival_s[1::2])
    assert np.array_equal(requests.session_id[::2], requests.session_id[1::2])
    one = next(iter(demand_of(load_scenario(file)).source(0).chunks()))
    assert len(requests) == 2 * len(one)


def test_what_requests_bring_is_what_their_engine_has_modes_for(tmp_path: Path) -> None:
    assert engine(tmp_path).modes == replace(engine(tmp_path).modes, max_loras=0, encoder=None, grammars=False)
    adapters = f"{CLASS}.adapters={{number: 9}}"
    assert engine(tmp_path, adapters).modes.max_loras == 1
    assert engine(tmp_path, adapters, "engine.max_loras=4").modes.max_loras == 4
    assert engine(tmp_path, "engine.max_loras=4").modes.max_loras == 0
    assert engine(tmp_path, f"{CLASS}.structured_outputs={{compile_s: 0.2}}").modes.grammars
    images = f"{CLASS}.images={{tokens: {{kind: uniform, low: 100, high: 900}}}}"
    assert engine(tmp_path, SEES, images).modes.encoder == Encoder(8192, 8192)
    whole = engine(
        tmp_path, SEES, images, "engine.max_num_batched_tokens=900", "engine.disable_chunked_mm_input=true", SEQS
    )
    assert whole.modes.encoder == Encoder(900, 900, whole_items=True)
    assert engine(tmp_path, SEES, images, "engine.max_num_batched_tokens=512", SEQS).modes.encoder == Encoder(900, 900)


def test_how_prompts_share_the_steps(tmp_path: Path) -> None:
    capped = ("engine.long_prefill_token_threshold=64", "engine.long_prefill_token_threshold_adaptive=true")
    assert engine(tmp_path, *capped).modes.adaptive_prefill_cap
    assert not engine(tmp_path, capped[0]).modes.adaptive_prefill_cap
    later = ("engine.prefill_schedule_interval=8",)
    assert engine(tmp_path, *later, "engine.version=0.33.0").modes.waves == Waves(1, 8)
    assert engine(tmp_path, *later, "engine.version=0.32.0").modes.waves is None


def test_drafts_by_batch_size_have_no_gaps_and_no_more_than_are_asked_for(tmp_path: Path) -> None:
    spec = "method: eagle, num_speculative_tokens: 3, acceptance: 0.7"
    table = "num_speculative_tokens_per_batch_size: [[1, 4, 5], [9, 16, 1], [17, 64, 0]]"
    drafts = engine(tmp_path, f"engine.speculative_config={{{spec}, {table}}}").modes.drafts
    assert drafts is not None
    assert drafts.by_batch_size == ((1, 8, 3), (9, 16, 1), (17, 64, 0))
    plain = engine(tmp_path, f"engine.speculative_config={{{spec}}}").modes.drafts
    assert plain == replace(drafts, by_batch_size=())


def test_shares_by_position_become_chances_given_those_before(tmp_path: Path) -> None:
    spec = "method: eagle, num_speculative_tokens: 3, acceptance_by_position: [0.8, 0.6, 0]"
    by_position = engine(tmp_path, f"engine.speculative_config={{{spec}}}")
    assert by_position.draft_chances == pytest.approx((0.8, 0.75, 0.0))
    assert engine(tmp_path, EAGLE).draft_chances == (0.7, 0.7, 0.7)


def test_requests_that_differ_and_n_grams_that_are_not_found_reach_the_engine(tmp_path: Path) -> None:
    spec = "method: ngram, num_speculative_tokens: 3, acceptance: 0.7, acceptance_std: 0.2, drafted_share: 0.4"
    asked = engine(tmp_path, f"engine.speculative_config={{{spec}}}")
    assert (asked.draft_acceptance, asked.acceptance_std, asked.drafted_share) == (0.7, 0.2, 0.4)
    plain = engine(tmp_path, EAGLE)
    assert (plain.acceptance_std, plain.drafted_share) == (0.0, 1.0)


def test_a_class_has_the_drafts_of_all_but_for_what_it_gives(tmp_path: Path) -> None:
    spec = "method: ngram, num_speculative_tokens: 2, acceptance: 0.7, acceptance_std: 0.2, drafted_share: 0.4"
    own = "{acceptance_by_position: [0.8, 0.6], drafted_share: 0.75, drafted_run_steps: 9}"
    asked = engine(tmp_path, f"engine.speculative_config={{{spec}, by_class: {{chat: {own}}}}}")
    assert asked.odds_by_class == (DraftOdds(0.0, (0.8, pytest.approx(0.75)), 0.0, 0.75, 9.0),)
    assert asked.draft_acceptance == 0.7
    other = engine(tmp_path, f"engine.speculative_config={{{spec}, by_class: {{chat: {{acceptance: 0.9}}}}}}")
    assert other.odds_by_class == (DraftOdds(0.9, (), 0.2, 0.4, 0.0),)
    alike = engine(tmp_path, f"engine.speculative_config={{{spec}, drafted_run_steps: 9}}")
    assert (alike.odds_by_class, alike.drafted_run_steps) == ((), 9.0)
    runs = f"{spec}, drafted_run_steps: 9, by_class: {{chat: {{drafted_share: 1}}}}"
    always = engine(tmp_path, f"engine.speculative_config={{{runs}}}")
    assert always.odds_by_class == (DraftOdds(0.7, (), 0.2, 1.0, 0.0),)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "engine.speculative_config: 'acceptance' is missing"),
        (
            "acceptance: 0.7, acceptance_by_position: [0.8, 0.6]",
            "acceptance_by_position: give this or acceptance, not both",
        ),
        ("acceptance_by_position: [0.8]", "needs one share for each of the 2 drafts of a step (got 1)"),
        (
            "acceptance_by_position: [0.6, 0.7]",
            "acceptance_by_position[1]: is above the share before it (0.6), without",
        ),
        (
            "acceptance: 0.7, acceptance_std: 0.46",
            "acceptance_std: is more than requests can differ whose mean is 0.7: at most 0.454 (got 0.46)",
        ),
        ("acceptance: 1, acceptance_std: 0.1", "acceptance_std: is more than requests can differ whose mean is 1"),
        ("acceptance_by_position: [0.8, 0.6], acceptance_std: 0.1", "acceptance_std: goes with acceptance, not with"),
        ("acceptance: 0.7, drafted_share: 0.5", "drafted_share: method eagle drafts in every step"),
        ("acceptance: 0.7, drafted_share: 0", "drafted_share: must be greater than 0"),
        ("acceptance: 0.7, drafted_run_steps: 5", "drafted_run_steps: method eagle drafts in every step"),
        ("method: ngram, acceptance: 0.7, drafted_run_steps: 5", "drafted_run_steps: every step has drafts"),
        (
            "method: ngram, acceptance: 0.7, drafted_share: 0.8, drafted_run_steps: 3",
            "drafted_run_steps: is too short for 0.8 of the steps, with a step without drafts between runs: at least 4",
        ),
        ("acceptance: 0.7, by_class: {chta: {acceptance: 0.5}}", "by_class.chta: unknown class 'chta': did you mean"),
        ("acceptance: 0.7, by_class: {chat: {drafted_share: 0.5}}", "by_class.chat.drafted_share: method eagle drafts"),
        (
            "acceptance: 0.7, acceptance_std: 0.4, by_class: {chat: {acceptance: 0.9}}",
            "by_class.chat.acceptance_std: is more than requests can differ whose mean is 0.9",
        ),
        (
            "acceptance: 0.7, by_class: {chat: {acceptance: 0.9, acceptance_by_position: [0.9, 0.7]}}",
            "by_class.chat.acceptance_by_position: give this or acceptance, not both",
        ),
        ("acceptance_by_position: [1.2, 0.7]", "acceptance_by_position[0]: must be less than or equal to 1 (got 1.2)"),
    ],
)
def test_shares_by_position_are_checked(tmp_path: Path, spec: str, told: str) -> None:
    method = "" if spec.startswith("method") else "method: eagle, "
    drafts = f"engine.speculative_config={{{method}num_speculative_tokens: 2, {spec}}}"
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(ONE, study="months: 1"))
    with pytest.raises(InputError) as caught:
        load_scenario(file, sets=[drafts])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (
            (SEES, f"{CLASS}.images={{tokens: 900}}", "engine.max_num_batched_tokens=512", WHOLE, SEQS),
            "engine.disable_chunked_mm_input: a picture of 900 tokens does not fit a step whole",
        ),
        ((f"{CLASS}.images={{tokens: 900}}",), f"{CLASS}.images: llama-3.1-8b-instruct has no encoder"),
        ((f"{CLASS}.images={{tokens: 900, number: 63}}",), "images.number: must be less than or equal to 62"),
        (
            (
                f"{CLASS}.images={{tokens: 90}}",
                f"{CLASS}.arrivals={{kind: sessions, rate_rps: 1, turns: 2, think_s: 1}}",
            ),
            f"{CLASS}.images: pictures within conversations are not simulated",
        ),
        (
            (f"{CLASS}.adapters={{number: 9}}", "engine.batching=static"),
            "engine.batching: adapters, pictures, grammars",
        ),
        (
            (f"{CLASS}.adapters={{number: 9}}", EAGLE, "engine.max_num_batched_tokens=2048"),
            "engine.max_loras: with adapters max_num_batched_tokens (2048) must hold max_num_seqs (1024) times",
        ),
        ((f"{CLASS}.leaves={{share: 0.1}}",), f"{CLASS}.leaves: 'after_s' is missing"),
        ((BY_SIZE % "[[2, 9, 1]]",), "per_batch_size[0]: the first row must begin with 1"),
        ((BY_SIZE % "[[1, 9, 1], [5, 12, 0]]",), "per_batch_size[1]: rows must go up"),
    ],
)
def test_what_cannot_be_brought_is_refused_at_its_key(tmp_path: Path, sets: tuple[str, ...], told: str) -> None:
    assert told in refused(tmp_path, ONE, *sets)


def test_a_class_says_who_leaves_and_what_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(ONE, study="months: 1", rate_rps=3, horizon_s=20))
    asked = {
        "leaves": "{share: 0.5, after_s: 4}",
        "adapters": "{number: 3, share: 0.9, zipf: 1}",
        "structured_outputs": "{share: 0.4, compile_s: 0.2}",
        "images": "{tokens: 50, number: 2, share: 0.8, distinct: 7}",
    }
    loaded = load_scenario(file, sets=[SEES, *(f"{CLASS}.{key}={value}" for key, value in asked.items())])
    (cls,) = workload_spec(loaded.scenario, tmp_path).classes
    images = Images(2, Constant(50), 0.8, 7)
    assert cls.brought == Brought(Leaves(0.5, 4.0), Adapters(3, 0.9, 1.0), StructuredOutputs(0.4, 0.2), images)
    extras = next(iter(demand_of(loaded).source(0).chunks())).extras
    assert extras is not None
    assert (extras.leaves_s > 0).any()
    assert set(extras.adapter.tolist()) <= {0, 1, 2, 3}
    assert set(extras.grammar_s.tolist()) == {-1.0, 0.2}
    assert set(extras.picture_tokens.tolist()) == {50}
    (planned,) = plan_topology(loaded, "a").engines
    assert any(note.startswith("adapters: ") for note in planned.notes)
    assert any(note.startswith("images: ") for note in planned.notes)
