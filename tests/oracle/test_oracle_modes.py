"""The reference scheduler does what vLLM 0.32.0 and 0.33.0 did, in every mode, in every recorded step."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Encoder, Flight, GroupKind, KvGroup, Modes
from simulator.engine.reference.replay import replay_ranks
from simulator.engine.reference.request import Request
from simulator.engine.reference.scheduler import Scheduler
from simulator.engine.rules import V0_32, V0_33, RuleSet
from simulator.engine.schedule_trace import ScheduleTrace
from simulator.engine.trace_reader import load_schedule_trace
from simulator.engine.verify import replay_by_reference, verify_schedule
from simulator.errors import InputError

MODES = Path(__file__).resolve().parents[1] / "data" / "vllm-schedule-modes"
RECORDINGS = sorted(MODES.glob("*/*.json.gz"))


def load(name: str, version: str = "0.32.0") -> ScheduleTrace:
    return load_schedule_trace(MODES / version / f"{name}.json.gz")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.name.split('.')[0]}")
def test_every_recorded_step_is_reproduced(path: Path) -> None:
    check = verify_schedule(path)
    assert check.first_difference is None
    assert check.identical_steps == check.n_steps > 0
    assert check.vllm_version == path.parent.name


def test_ranks_do_in_each_iteration_what_they_did() -> None:
    for path in MODES.glob("*/f_dp*.json.gz"):
        trace = load_schedule_trace(path)
        assert replay_ranks(trace)[1] == list(trace.loop)


def test_each_version_has_recordings_of_every_mode() -> None:
    names = {path.name for path in RECORDINGS if path.parent.name == "0.32.0"}
    assert names == {path.name for path in RECORDINGS if path.parent.name == "0.33.0"}
    assert len(names) == 58


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("b_async_plain", {"flight": None}),
        ("b_async_plain", {"flight": Flight(1, True)}),
        ("e_pp2", {"flight": Flight(4, False)}),
        ("e_pp2_async_v2", {"flight": Flight(3, True)}),
        ("c_gptoss", {"groups": (KvGroup(GroupKind.FULL, 16),)}),
        ("c_window_only", {"groups": ()}),
        ("c_mamba", {"groups": ()}),
        ("g_encoder", {"encoder": None}),
        ("g_lora", {"max_loras": 0}),
        ("h_long_prefill_adaptive", {"adaptive_prefill_cap": False}),
        ("f_dp4_interval", {"waves": "no interval"}),
    ],
)
def test_a_mode_left_out_is_seen(name: str, change: dict[str, Any]) -> None:
    trace = load(name)
    modes = trace.config.modes
    if change.get("waves"):
        assert modes.waves is not None
        change = {"waves": dataclasses.replace(modes.waves, prefill_interval=1)}
    config = dataclasses.replace(trace.config, modes=dataclasses.replace(modes, **change))
    other = dataclasses.replace(trace, config=config)
    recorded = [list(rank.steps) for rank in trace.ranks] or [list(trace.steps)]
    assert replay_by_reference(other) != recorded


@pytest.mark.parametrize("name", ["a_spec_ngram_fullhit", "a_spec_eagle_prefix", "f_dp4_interval"])
def test_versions_decide_differently(name: str) -> None:
    trace = load(name, "0.33.0")
    assert trace.config.rules == V0_33
    older = dataclasses.replace(trace, config=dataclasses.replace(trace.config, rules=V0_32))
    recorded = [list(rank.steps) for rank in trace.ranks] or [list(trace.steps)]
    assert replay_by_reference(older) != recorded


@pytest.mark.parametrize(("rules", "given"), [(V0_32, [(0, 8, 0)]), (V0_33, [])])
def test_a_chunk_that_begins_with_a_picture_and_cannot_hold_it(rules: RuleSet, given: list[Any]) -> None:
    encoder = Modes(encoder=Encoder(budget_tokens=32, cache_tokens=32, whole_items=True))
    config = EngineConfig(num_blocks=20, max_num_batched_tokens=8, max_model_len=64, rules=rules, modes=encoder)
    scheduler = Scheduler(config)
    scheduler.add(Request(0, 0.0, isl=20, osl=2, images=((0, 12, "a"),)))
    assert scheduler.schedule().scheduled == given


@pytest.mark.parametrize(
    ("place", "key"),
    [(("config",), "moon_phase"), (("requests", 3), "colour"), (("steps", 0), "extra"), ((), "mood")],
)
def test_a_key_that_nobody_knows_is_refused_at_its_place(tmp_path: Path, place: tuple[Any, ...], key: str) -> None:
    data = json.loads(gzip.decompress((MODES / "0.32.0" / "h_stop.json.gz").read_bytes()))
    node = data
    for part in place:
        node = node[part]
    node[key] = 1
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        load_schedule_trace(path)
    assert key in str(caught.value.problems[0])
    assert "needs a mode" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("f_dp4_interval", ("config", "kv_cache_groups"), [5]),
        ("f_dp4_interval", ("config", "kv_cache_groups", 0), {}),
        ("f_dp4_interval", ("config", "kv_cache_groups", 0, "kind"), ["full"]),
        ("f_dp4_interval", ("loop", 0), [1]),
        ("g_encoder", ("steps", 0, "encoder"), [[1, 2]]),
        ("a_spec_eagle_prefix", ("steps", 0, "spec"), [[1, 2]]),
        ("a_spec_eagle_prefix", ("steps", 0, "finished"), "x"),
        ("h_abort", ("events",), 5),
        ("h_abort", ("events", 0, "abort"), 5),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_at_its_place(
    tmp_path: Path, name: str, place: tuple[Any, ...], value: Any
) -> None:
    data = json.loads(gzip.decompress((MODES / "0.32.0" / f"{name}.json.gz").read_bytes()))
    node = data
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        load_schedule_trace(path)
    assert all(str(problem.path).startswith(str(place[0])) for problem in caught.value.problems)


def test_a_key_without_a_value_is_as_good_as_absent(tmp_path: Path) -> None:
    data = json.loads(gzip.decompress((MODES / "0.32.0" / "h_stop.json.gz").read_bytes()))
    data["config"] |= {"data_parallel_size": None, "max_concurrent_batches": None}
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    assert load_schedule_trace(path).config == load("h_stop").config
