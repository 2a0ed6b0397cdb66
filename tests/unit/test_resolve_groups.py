"""From a model whose layers differ to the block tables of its engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Flight, GroupKind, KvGroup, Modes
from simulator.engine.modes.tables.arrays import held_back_tokens
from simulator.engine.modes.tables.room import longest_request, requests_at_once
from simulator.errors import InputError
from simulator.memory.cache import Group, Page
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.kv_groups import in_words, kv_groups, not_simulated, shortest_block, told
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.run.trust import sources
from simulator.schema.engine import EngineSettings

EAGLE: dict[str, Any] = {"method": "eagle", "num_speculative_tokens": 3, "acceptance": 0.7}
MTP: dict[str, Any] = EAGLE | {"method": "mtp"}


def planned(model: str, tp: int = 1, role: str = "both", **engine: Any) -> PlannedEngine:
    return plan_engine(model, "h100-sxm", tp, 1, EngineSettings.model_validate(engine), Path(), role)


def test_windows_take_their_groups_and_the_pool_of_the_plan() -> None:
    engine = planned("gpt-oss-20b", async_scheduling=False).config
    assert engine.modes.groups == (KvGroup(GroupKind.WINDOW, 16, 128), KvGroup(GroupKind.FULL, 16))
    assert engine.modes.max_in_flight_tokens == engine.max_num_batched_tokens
    plan = answer(Question("gpt-oss-20b", "h100-sxm")).plan
    assert (engine.num_blocks, engine.max_model_len) == (plan.num_blocks, plan.max_model_len)
    assert not any("one block table" in note for note in planned("gpt-oss-20b").notes)


def test_plans_in_flight_hold_the_tokens_of_several_steps() -> None:
    engine = planned("gpt-oss-20b").config
    assert engine.modes.flight == Flight(2, True)
    assert engine.modes.max_in_flight_tokens == 2 * engine.max_num_batched_tokens


def test_states_are_kept_at_block_boundaries_only_for_the_prefix_cache() -> None:
    cached, plain = (
        planned("qwen3-next-80b-a3b", 4, enable_prefix_caching=caching).config for caching in (True, False)
    )
    size = cached.block_size
    assert cached.modes.groups[0] == KvGroup(GroupKind.LINEAR, size, aligned=True, saves_amid_chunk=True)
    assert cached.modes.groups[-1] == KvGroup(GroupKind.FULL, size)
    assert cached.modes.chunks_end_at_states
    assert plain.modes.groups[0] == KvGroup(GroupKind.LINEAR, plain.max_model_len)
    assert not plain.modes.chunks_end_at_states


@pytest.mark.parametrize(
    ("model", "gpu", "version", "saves"),
    [
        ("nemotron-3-nano-30b-a3b", "h100-sxm", "0.31.0", False),
        ("nemotron-3-nano-30b-a3b", "a100-80", "0.32.0", True),
        ("qwen3.6-27b", "h100-sxm", "0.32.0", False),
        ("qwen3.6-27b", "h100-sxm", "0.33.0", True),
        ("qwen3.6-27b", "a100-80", "0.33.0", False),
    ],
)
@pytest.mark.parametrize("caching", [True, False])
def test_the_schedule_saves_states_where_the_memory_plan_has_blocks_for_them(
    model: str, gpu: str, version: str, saves: bool, caching: bool
) -> None:
    asked = EngineSettings(version=version, enable_prefix_caching=caching, max_model_len=8192)
    groups = plan_engine(model, gpu, 2, 1, asked, Path(), "both").config.modes.groups
    states = [group for group in groups if group.kind == GroupKind.LINEAR]
    assert [group.saves_amid_chunk for group in states] == [saves and caching] * len(states)
    question = Question(model, gpu, tp=2, version=version, enable_prefix_caching=caching, max_model_len=8192)
    plan = answer(question).plan
    attending = sum(-(-8192 // group.block_size) for group in groups if group.kind == GroupKind.FULL)
    held = plan.num_blocks / plan.max_concurrency - attending
    assert held == pytest.approx(len(states) * (1 + caching + (saves and caching)))


def test_without_the_hybrid_manager_every_layer_keeps_all_tokens() -> None:
    engine = planned("gpt-oss-20b", disable_hybrid_kv_cache_manager=True).config
    assert engine.modes == Modes(flight=engine.modes.flight)
    with_groups = planned("gpt-oss-20b").config
    assert engine.num_blocks == with_groups.num_blocks // 2
    assert requests_at_once(with_groups, 8000.0) > 1.9 * requests_at_once(engine, 8000.0)


def test_a_state_and_attention_need_the_hybrid_manager() -> None:
    told = "disable_hybrid_kv_cache_manager: vLLM cannot bring a state and attention into one block table"
    with pytest.raises(InputError, match=f"^{told}"):
        answer(Question("qwen3-next-80b-a3b", "h100-sxm", tp=4, disable_hybrid_kv_cache_manager=True))
    with pytest.raises(InputError, match=rf"^engine\.{told}"):
        planned("qwen3-next-80b-a3b", 4, disable_hybrid_kv_cache_manager=True)


def test_states_of_the_prefix_cache_need_chunked_prefill() -> None:
    with pytest.raises(InputError, match="chunked prefill is required for the prefix caching of linear attention"):
        planned("qwen3-next-80b-a3b", 4, enable_chunked_prefill=False, max_model_len=2048, max_num_batched_tokens=4096)


def test_blocks_of_two_lengths_are_simulated_with_the_prefix_cache() -> None:
    found = planned("gemma-4-31b")
    groups = found.config.modes.groups
    assert {(group.kind, group.block_size) for group in groups} == {(GroupKind.WINDOW, 16), (GroupKind.FULL, 32)}
    assert found.config.enable_prefix_caching
    assert not any("one block table" in note for note in found.notes)


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_blocks_of_two_lengths_are_simulated_beside_a_drafter_that_reads_hidden_states(version: str) -> None:
    found = planned("gemma-4-31b", 2, version=version, speculative_config=EAGLE)
    assert {group.block_size for group in found.config.modes.groups} == {16, 32}
    assert found.config.drop_last_hit_block == (version == "0.32.0")
    assert not any("one block table" in note for note in found.notes)


def test_what_does_not_combine_is_not_simulated_and_says_so() -> None:
    groups = (KvGroup(GroupKind.CHUNK, 16, 64), KvGroup(GroupKind.FULL, 32))
    told = "prefix caching over blocks of several lengths, beside states or local chunks: not simulated"
    assert not_simulated(groups, True, None).startswith(told)
    assert not_simulated(groups, False, None) == ""
    everything = (KvGroup(GroupKind.FULL, 16), KvGroup(GroupKind.FULL, 64))
    told = "prefix caching over full attention with blocks of several lengths: not simulated"
    assert not_simulated(everything, True, None).startswith(told)
    assert not_simulated(everything, False, None) == ""


@pytest.mark.parametrize("role", ["prefill", "decode"])
@pytest.mark.parametrize("caching", [True, False])
def test_states_go_from_one_engine_to_another_in_their_groups(role: str, caching: bool) -> None:
    """The side that computes a prompt leaves its last token to the other, before which that one needs the state."""
    apart = planned("qwen3.6-27b", role=role, max_num_seqs=64, enable_prefix_caching=caching)
    together = planned("qwen3.6-27b", max_num_seqs=64, enable_prefix_caching=caching)
    assert apart.config.modes.groups == together.config.modes.groups
    assert {group.kind for group in apart.config.modes.groups} == {GroupKind.LINEAR, GroupKind.FULL}
    assert apart.config.num_blocks == together.config.num_blocks
    assert held_back_tokens(apart.config) == 1
    assert not any("one block table" in note for note in apart.notes)


@pytest.mark.parametrize(
    ("model", "version", "drafts", "layers"),
    [
        ("gpt-oss-20b", "0.32.0", EAGLE, ["window", "full"]),
        ("gpt-oss-20b", "0.33.0", EAGLE | {"method": "ngram"}, ["window", "full"]),
        ("gemma-3-27b", "0.33.0", EAGLE, ["window"] * 5 + ["full"]),
    ],
)
def test_drafts_have_the_groups_of_the_plan(
    model: str, version: str, drafts: dict[str, Any], layers: list[str]
) -> None:
    """All groups give up a hit block of EAGLE's, whose layer vLLM cannot tell; none is named."""
    found = planned(model, 2, version=version, speculative_config=drafts)
    assert sorted(group.kind.name.lower() for group in found.config.modes.groups) == sorted(layers)
    assert not any(group.has_draft_layers for group in found.config.modes.groups)
    assert not any("one block table" in note for note in found.notes)
    assert found.config.num_blocks == found.memory.plan.num_blocks
    reads_ahead = found.config.modes.drafts
    assert reads_ahead is not None
    assert reads_ahead.num_prefill_lookahead_tokens == (drafts["method"] == "eagle")


def test_the_layer_of_mtp_names_its_group_and_each_draft_keeps_a_state() -> None:
    states, attention = (
        planned("qwen3-next-80b-a3b", 4, enable_prefix_caching=False, speculative_config=MTP).config.modes.groups[k]
        for k in (0, -1)
    )
    assert (states.kind, states.draft_states, states.has_draft_layers) == (GroupKind.LINEAR, 3, False)
    assert (attention.kind, attention.draft_states, attention.has_draft_layers) == (GroupKind.FULL, 0, True)


def test_states_for_the_prefix_cache_are_kept_beside_drafts() -> None:
    found = planned("qwen3-next-80b-a3b", 4, speculative_config=MTP).config
    states = found.modes.groups[0]
    assert (states.aligned, states.draft_states, states.block_size) == (True, 3, found.block_size)
    assert found.modes.chunks_end_at_states


@pytest.mark.parametrize("role", ["prefill", "decode"])
@pytest.mark.parametrize(
    ("model", "engine"),
    [
        ("gpt-oss-20b", {}),
        ("gemma-3-27b", {"speculative_config": EAGLE}),
        ("llama-4-scout", {"disable_hybrid_kv_cache_manager": False, "max_model_len": 32768}),
    ],
)
def test_prefill_and_decode_apart_have_the_groups_of_the_plan(model: str, engine: dict[str, Any], role: str) -> None:
    """Beside a connector drafters give up a hit block in every version."""
    tp = 8 if model == "llama-4-scout" else 1
    found = planned(model, tp, role, **engine)
    assert len({group.kind for group in found.config.modes.groups}) == 2
    assert found.config.modes.connector
    assert found.config.drop_last_hit_block == ("speculative_config" in engine)
    assert not any("one block table" in note for note in found.notes)
    assert found.config.num_blocks == found.memory.plan.num_blocks


def test_several_groups_do_not_go_from_pipeline_stages() -> None:
    with pytest.raises(InputError, match=r"^pipeline_parallel_size: vLLM's NIXL connector does not send several KV"):
        plan_engine("gpt-oss-20b", "h100-sxm", 1, 2, EngineSettings(), Path(), "prefill")
    one = EngineSettings(disable_hybrid_kv_cache_manager=True)
    assert plan_engine("gpt-oss-20b", "h100-sxm", 1, 2, one, Path(), "prefill").config.modes.groups == ()


def test_each_draft_takes_a_state_of_the_memory_plan() -> None:
    """One request holds its state and one for each draft in every group (`MambaSpec.max_memory_usage_bytes`); blocks
    are longer by what its convolution reads again of them.
    """
    asked = Question("qwen3-next-80b-a3b", "h100-sxm", tp=4, speculative_method="ngram", enable_prefix_caching=False)
    alone, drafted = (answer(replace(asked, num_speculative_tokens=k)).plan for k in (0, 5))
    states = sum(group.page.kind == "state" for group in alone.groups)
    assert drafted.num_blocks * drafted.terms.block_bytes == pytest.approx(
        alone.num_blocks * alone.terms.block_bytes, rel=2 / alone.num_blocks
    )
    with pytest.raises(InputError, match=r"^num_speculative_tokens: must be from 0 to 256"):
        answer(replace(asked, num_speculative_tokens=257))
    needs = [plan.num_blocks / plan.max_concurrency for plan in (alone, drafted)]
    tokens = [next(g.page.tokens for g in plan.groups if g.page.kind == "full") for plan in (alone, drafted)]
    full = [-(-alone.max_model_len // each) for each in tokens]
    assert tokens[1] > tokens[0]
    assert needs[1] - needs[0] == pytest.approx(5 * states + full[1] - full[0])


def test_chunks_with_eagle_have_one_table_as_in_vllm() -> None:
    """vLLM turns the hybrid manager off there, so nothing is left to say."""
    found = planned("llama-4-scout", 8, max_model_len=32768, speculative_config=EAGLE)
    assert found.config.modes.groups == ()
    assert not any("simulated with one block table" in note for note in found.notes)


def test_a_version_without_groups_has_one_table() -> None:
    assert planned("gemma-2-9b", version="0.9.1").config.modes.groups
    assert planned("gemma-2-9b", version="0.8.5").config.modes.groups == ()


def test_the_longest_request_is_the_one_that_fits() -> None:
    groups = (KvGroup(GroupKind.WINDOW, 16, 128), KvGroup(GroupKind.FULL, 16))
    config = EngineConfig(num_blocks=201, max_num_batched_tokens=256, max_model_len=100_000, modes=Modes(groups=groups))
    # the window holds (127 + 256) / 16 blocks and one, full attention the others
    assert longest_request(config) == (200 - 25) * 16
    assert requests_at_once(config, 1600.0) == pytest.approx(200 / (9 + 100))


def test_equal_groups_are_told_together() -> None:
    groups = (KvGroup(GroupKind.WINDOW, 16, 1024),) * 5 + (KvGroup(GroupKind.FULL, 16),)
    assert told(groups) == [
        {"kind": "sliding window", "groups": 5, "block_tokens": 16, "reach_tokens": 1024},
        {"kind": "full attention", "groups": 1, "block_tokens": 16},
    ]
    assert in_words(groups) == "5 × sliding window of 1,024 tokens, full attention"


def test_a_run_says_which_tables_it_has() -> None:
    words = "KV cache: block tables by group from one pool: sliding window of 128 tokens, full attention"
    assert words in sources([planned("gpt-oss-20b")])
    assert not any("KV cache" in source for source in sources([planned("llama-3.1-8b")]))


FULL, WINDOW = KvGroup(GroupKind.FULL, 16), KvGroup(GroupKind.WINDOW, 16, 1024)
STATE, ALIGNED = KvGroup(GroupKind.LINEAR, 8192), KvGroup(GroupKind.LINEAR, 528, aligned=True)


@pytest.mark.parametrize(
    ("groups", "words", "rows"),
    [
        ((), "", []),
        ((FULL,), "full attention", [("full attention", 1, 16, None)]),
        (
            (WINDOW, FULL, WINDOW, STATE),
            "2 × sliding window of 1,024 tokens, full attention, state",
            [("sliding window", 2, 16, 1024), ("full attention", 1, 16, None), ("state", 1, 8192, None)],
        ),
        (
            (KvGroup(GroupKind.CHUNK, 32, 8192), KvGroup(GroupKind.CHUNK, 32, 64)),
            "local chunks of 8,192 tokens, local chunks of 64 tokens",
            [("local chunks", 1, 32, 8192), ("local chunks", 1, 32, 64)],
        ),
    ],
)
def test_groups_are_told_by_kind_number_and_reach(groups: Any, words: str, rows: list[Any]) -> None:
    assert in_words(groups) == words
    assert [(row["kind"], row["groups"], row["block_tokens"], row.get("reach_tokens")) for row in told(groups)] == rows


@pytest.mark.parametrize(
    ("groups", "tokens"),
    [
        ((), 7),
        ((STATE,), 7),
        ((ALIGNED,), 528),
        ((KvGroup(GroupKind.LINEAR, 4), FULL), 16),
        ((ALIGNED, FULL, KvGroup(GroupKind.FULL, 32)), 16),
        ((KvGroup(GroupKind.LINEAR, 4, aligned=True), FULL), 4),
    ],
)
def test_the_shortest_block_that_grows_with_a_request(groups: Any, tokens: int) -> None:
    assert shortest_block(groups, 7) == tokens


def page(kind: Any, tokens: int = 16, reach: int = 0) -> Page:
    return Page(kind, reach, tokens, 1, 1)


def plan_of(*groups: tuple[Page, tuple[int, ...]], saves: bool = False) -> Any:
    found = tuple(Group(one, members, (1,)) for one, members in groups)
    return SimpleNamespace(groups=found, max_model_len=8192, saves_states=saves)


def test_groups_of_a_plan_by_their_kinds() -> None:
    """A ring, and a state that is not cached, is one block for all of a request."""
    plan = plan_of(
        (page("full"), (0,)),
        (page("latent", 64), (1,)),
        (page("window", 16, 128), (2,)),
        (page("chunk", 32, 64), (3,)),
        (page("state", 528), (4,)),
        (page("ring", 48), (5,)),
        saves=True,
    )
    alike = (
        KvGroup(GroupKind.FULL, 16),
        KvGroup(GroupKind.FULL, 64),
        KvGroup(GroupKind.WINDOW, 16, 128),
        KvGroup(GroupKind.CHUNK, 32, 64),
    )
    ring = KvGroup(GroupKind.LINEAR, 8192)
    cached = KvGroup(GroupKind.LINEAR, 528, aligned=True, draft_states=3, saves_amid_chunk=True)
    assert kv_groups(plan, True, "ngram", 3) == (*alike, cached, ring)
    assert kv_groups(plan, False, "ngram", 3) == (*alike, KvGroup(GroupKind.LINEAR, 8192, draft_states=3), ring)


@pytest.mark.parametrize(
    ("kind", "several"), [("full", False), ("latent", False), ("window", True), ("chunk", True), ("state", True)]
)
def test_one_table_of_all_tokens_needs_no_group(kind: str, several: bool) -> None:
    assert bool(kv_groups(plan_of((page(kind, 16, 64), (0, 1))), True)) == several


def test_the_last_layer_is_the_drafter_s_wherever_its_group_stands() -> None:
    plan = plan_of((page("window", 16, 128), (0, 7)), (page("full"), (1, 2, 3, 4, 5, 6)))
    assert [group.has_draft_layers for group in kv_groups(plan, True, "mtp")] == [True, False]
    plan = plan_of((page("window", 16, 128), (0, 5)), (page("full"), (6, 1)))
    assert [group.has_draft_layers for group in kv_groups(plan, True, "mtp")] == [False, True]
    assert not any(group.has_draft_layers for group in kv_groups(plan, True, "eagle"))


def test_what_an_encoder_made_is_refused_beside_other_layers() -> None:
    with pytest.raises(InputError, match=r"^a decoder that reads what an encoder made is planned, and not simulated"):
        kv_groups(plan_of((page("full"), (0,)), (page("cross"), (1,))), True)


def test_what_is_not_simulated_is_said_to_be_vllm_s() -> None:
    several = (KvGroup(GroupKind.CHUNK, 16, 64), KvGroup(GroupKind.FULL, 32))
    assert not_simulated(several, True, None).endswith(": not simulated, though vLLM has it")
    assert not_simulated((FULL, WINDOW), True, None) == not_simulated((FULL, WINDOW), True, "eagle") == ""
