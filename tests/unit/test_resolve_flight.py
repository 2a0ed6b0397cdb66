"""Asynchronous scheduling: what is asked for, what vLLM would make of it, and what the step times hold then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.catalog.overheads import engine_overheads, front_end
from simulator.cli.doctor import warm_up
from simulator.engine.modes.flight.arrays import Flight as InFlight
from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.spec import Flight
from simulator.engine.rules import V0_32, V0_33
from simulator.errors import InputError
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.single import RequestList
from simulator.resolve.engines import PlannedEngine, plan_engine
from simulator.resolve.topology import plan_topologies
from simulator.run.bench import Setting, fleet_spec
from simulator.scenario.load import load_scenario
from simulator.schema.engine import EngineSettings, SpeculativeConfig
from simulator.workload.requests import make_requests


def planned(pp: int = 1, role: str = "both", **settings: object) -> PlannedEngine:
    return plan_engine("llama-3.1-8b", "h100-sxm", 1, pp, EngineSettings.model_validate(settings), Path(), role)


def drafts(method: str) -> SpeculativeConfig:
    return SpeculativeConfig.model_validate({"method": method, "num_speculative_tokens": 2, "acceptance": 0.7})


@pytest.mark.parametrize("asked", [None, "auto", True])
def test_a_plan_is_made_while_the_one_before_is_computed(asked: object) -> None:
    engine = planned(async_scheduling=asked)
    assert engine.config.modes.flight == Flight(2, True)
    assert engine.notes == ()


def test_told_not_to_plans_are_made_one_at_a_time() -> None:
    assert planned(async_scheduling=False).config.modes.flight is None


@pytest.mark.parametrize(
    "settings", [{"version": "0.11"}, {"batching": "static"}, {"throughput": {"output_tokens_per_s": 1000}}]
)
def test_what_is_no_vllm_that_plans_ahead_does_not_and_says_nothing(settings: dict[str, object]) -> None:
    engine = planned(**settings)
    assert engine.config.modes.flight is None
    assert not any("async_scheduling" in note for note in engine.notes)


def test_the_wait_for_the_plan_in_flight_is_counted_once() -> None:
    """It is in a request's overhead where plans are not simulated, and in the plans where they are."""
    simulated, off, not_simulated = planned(), planned(async_scheduling=False), planned(batching="static")
    request_s = engine_overheads(None, "h100-sxm").request_s + front_end().template_s.value
    assert simulated.step_time.request_overhead_s == off.step_time.request_overhead_s == request_s
    assert not_simulated.step_time.request_overhead_s > request_s
    assert (simulated.step_time.seq_time_s == not_simulated.step_time.seq_time_s).all()


def test_without_it_the_host_works_before_each_step() -> None:
    host_s = engine_overheads(None, "h100-sxm").host_s
    simulated, off = planned(async_scheduling=True), planned(async_scheduling=False)
    assert off.step_time.seq_time_s[1] - simulated.step_time.seq_time_s[1] == pytest.approx(host_s, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batching": "static"}, "batching static is not"),
        ({"speculative_config": drafts("ngram")}, "ngram-based speculative decoding"),
    ],
)
def test_where_it_cannot_be_it_is_refused_or_turned_off_with_a_warning(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as found:
        planned(async_scheduling=True, **settings)  # type: ignore[arg-type]
    assert found.value.problems[0].path == "engine.async_scheduling"
    asked: tuple[object, ...] = ("auto",) if "batching" in settings else ("auto", None)
    for each in asked:
        engine = planned(async_scheduling=each, **settings)  # type: ignore[arg-type]
        assert engine.config.modes.flight is None
        assert any(words in note for note in engine.notes)


@pytest.mark.parametrize(
    ("settings", "flight"),
    [
        ({}, Flight(5, True, eligible_after=4, stages=4)),
        ({"async_scheduling": True, "version": "0.33"}, Flight(5, True, eligible_after=4, stages=4)),
        ({"async_scheduling": False}, Flight(4, False, stages=4)),
        ({"version": "0.11"}, Flight(4, False, stages=4)),
        ({"version": "0.20"}, Flight(4, False, stages=4)),
    ],
)
def test_batches_of_a_pipeline_are_in_flight(settings: dict[str, object], flight: Flight) -> None:
    """As many as stages with the V1 model runner, which has them synchronous; one more with the V2 model runner."""
    assert planned(pp=4, **settings).config.modes.flight == flight


@pytest.mark.parametrize("version", [None, "0.32.0"])
@pytest.mark.parametrize("asked", [None, "auto"])
def test_n_grams_in_a_pipeline_are_refused_where_vllm_makes_it_synchronous(
    version: str | None, asked: str | None
) -> None:
    """It turns asynchronous scheduling off and stands still."""
    with pytest.raises(InputError, match=r"turned off; .* it stands still") as found:
        planned(pp=2, async_scheduling=asked, version=version, speculative_config=drafts("ngram"))
    assert [problem.path for problem in found.value.problems] == ["engine.speculative_config.method"]
    assert found.value.problems[0].got == "ngram"


def test_n_grams_in_a_pipeline_are_asynchronous_in_0_33() -> None:
    engine = planned(pp=2, version="0.33.0", speculative_config=drafts("ngram"))
    assert engine.config.modes.flight == Flight(3, True, eligible_after=2, stages=2)


def test_the_v1_model_runner_refuses_asynchronous_plans_of_a_pipeline() -> None:
    with pytest.raises(InputError, match="V1 model runner with pipeline parallelism"):
        planned(pp=2, async_scheduling=True, version="0.20")
    assert any("V1 model runner" in note for note in planned(pp=2, async_scheduling="auto", version="0.20").notes)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b"])
def test_a_batch_takes_as_long_through_all_stages_as_through_one_gpu_but_for_hosts_and_hand_overs(model: str) -> None:
    """The kernels of all layers and their attention are the same; stages add transport, and their hosts' work: what
    shows in each step does so once a stage, what runs beside the GPU at most that often."""
    one, four = (
        plan_engine(model, "h200", 1, pp, EngineSettings(quantization="fp8"), Path()).step_time for pp in (1, 4)
    )
    batch = np.array([8, 64, 256])
    kernels, hosts = zip(*((step.token_time_s[0][batch], step.seq_time_s[batch]) for step in (one, four)), strict=True)
    assert len(four.token_time_s) == 1
    assert four.stages == 4
    assert ((kernels[1] > kernels[0]) & (kernels[1] < 1.1 * kernels[0])).all()
    host = engine_overheads(None, "h200")
    shown = host.exposed_s + host.exposed_seq_s * batch
    more = kernels[1] + hosts[1] - kernels[0] - hosts[0]
    transport = kernels[1] - kernels[0]
    assert (more > 3 * shown).all()
    assert (more < 3 * (shown + host.host_s + host.host_seq_s * batch) + transport).all()
    assert four.prefill_attn_s == pytest.approx(one.prefill_attn_s)
    assert four.decode_attn_s == pytest.approx(one.decode_attn_s)


def test_versions_that_have_to_be_told_are_not_told_by_auto() -> None:
    engine = planned(async_scheduling="auto", version="0.11")
    assert engine.config.modes.flight is None
    assert "0.11" in engine.notes[0]
    assert planned(async_scheduling=True, version="0.11").config.modes.flight == Flight(2, True)


@pytest.mark.parametrize(("version", "rules"), [(None, V0_32), ("0.32.1", V0_32), ("0.33", V0_33), ("0.34.0", V0_33)])
def test_the_version_chooses_the_rules(version: str | None, rules: object) -> None:
    assert planned(version=version).config.rules == rules


@pytest.mark.parametrize(
    ("settings", "flight"),
    [
        ({"speculative_config": drafts("eagle")}, Flight(2, True)),
        ({"speculative_config": drafts("ngram"), "version": "0.33.0"}, Flight(2, True)),
        ({"speculative_config": drafts("eagle"), "pp": 2}, Flight(3, True, eligible_after=2, stages=2)),
        ({"speculative_config": drafts("eagle"), "async_scheduling": False}, None),
        ({"role": "prefill"}, Flight(2, True)),
        ({"role": "decode", "speculative_config": drafts("eagle")}, Flight(2, True)),
        ({"role": "decode", "pp": 2}, Flight(3, True, eligible_after=2, stages=2)),
        ({"speculative_config": drafts("eagle"), "pp": 2, "version": "0.20"}, None),
    ],
)
def test_drafts_and_transfers_are_planned_ahead_as_the_version_does(
    settings: dict[str, object], flight: Flight | None
) -> None:
    modes = planned(**settings).config.modes  # type: ignore[arg-type]
    assert modes.flight == flight
    assert modes.connector == ("role" in settings)


def test_a_synchronous_pipeline_with_drafts_stands_still() -> None:
    with pytest.raises(InputError, match="it stands still"):
        planned(pp=2, async_scheduling=False, speculative_config=drafts("eagle"))


@pytest.mark.parametrize(
    ("method", "version", "role", "gives_up", "covers"),
    [
        ("eagle", "0.32.0", "both", True, 0),
        ("eagle", "0.33.0", "both", False, 1),
        ("eagle", "0.33.1", "both", False, 1),
        ("eagle", "0.33.0", "decode", True, 0),
        ("ngram", "0.33.0", "both", False, 0),
    ],
)
def test_what_drafters_give_up_of_a_hit_follows_the_version(
    method: str, version: str, role: str, gives_up: bool, covers: int
) -> None:
    config = planned(role=role, speculative_config=drafts(method), version=version, enable_prefix_caching=True).config
    assert (config.drop_last_hit_block, config.hash_lookahead_tokens) == (gives_up, covers)


def test_the_quickstart_runs_on_one_set_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of plans in flight, which `servecast doctor --warm` compiles; token APIs alone run on it too."""
    warmed: list[Setting] = []
    monkeypatch.setattr("simulator.run.bench.warm_up", warmed.append)
    warm_up()
    assert [fleet_spec(kind).pools[0].engine.modes.flight for kind in warmed] == [Flight(2, True)]
    quickstart = Path(__file__).resolve().parents[2] / "scenarios/quickstart.yaml"
    nobody = RequestList(make_requests(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)))
    replicas = [f"{name}.pools[0].replicas=4" for name in ("on_prem", "hybrid")]
    sizes = (*replicas, "cloud.pools[0].autoscaler=null", "hybrid.pools[1].autoscaler=null")
    sized = load_scenario(quickstart, sets=[f"topologies.{size}" for size in sizes])
    fleets = [topology.fleet for topology in plan_topologies(sized)]
    planes = [DataPlane(fleet, nobody, (1,) * len(fleet.pools), 0, print) for fleet in fleets]
    assert {len(fleet.pools) for fleet in fleets} >= {0, 1}
    assert {type(plane.engines.flight) for plane in planes} == {InFlight}


def test_all_that_is_warmed_is_every_kind_of_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[Setting] = []
    monkeypatch.setattr("simulator.processes.cores", lambda: 1)
    monkeypatch.setattr("simulator.run.bench.warm_up", warmed.append)
    warm_up(everything=True)
    modes = [fleet_spec(kind).pools[0].engine.modes for kind in warmed]
    asked = (
        (bool(mode.groups), mode.flight is not None, mode.max_loras > 0, offload_of(mode) is not None) for mode in modes
    )
    assert sorted(asked) == [
        (False, False, False, False),
        (False, False, True, False),
        (False, True, False, False),
        (False, True, False, True),
        (True, False, False, False),
    ]


@pytest.mark.parametrize("asked", [True, "auto"])
def test_plans_in_flight_of_given_steps_are_known_without_stages_alone(asked: object) -> None:
    given = {"throughput": {"output_tokens_per_s": 1000}}
    assert planned(async_scheduling=asked, **given).config.modes.flight == Flight(2, True)
    words = "of a pipeline whose steps are measured or given the plans in flight are not known"
    if asked is True:
        with pytest.raises(InputError, match=words):
            planned(pp=2, async_scheduling=asked, **given)
    else:
        engine = planned(pp=2, async_scheduling=asked, **given)
        assert engine.config.modes.flight is None
        assert any(words in note for note in engine.notes)
