"""Laws of the tables that a bundle holds beside its requests, and of the steps of one replica."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from simulator.cli.steps import steps as steps_command
from simulator.errors import InputError
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.run.steps import replica_steps, replicas
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"


def some_replicas(found: Bundle) -> list[tuple[str, int]]:
    """Those that served requests, so that what is held of each of them is held of one at least."""
    served = replicas(found, "own")
    assert served
    return served


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("runs")).bundle)


def test_the_parts_of_a_request_s_time_add_up_to_its_e2e(bundle: Bundle) -> None:
    for found in bundle.summary["topologies"].values():
        for metrics in (found["metrics"], *found["metrics"]["classes"].values()):
            assert all(seconds >= 0 for seconds in metrics["breakdown_s"].values())
            assert sum(metrics["breakdown_s"].values()) == pytest.approx(metrics["e2e_s"]["mean"])
            waited_s = metrics["breakdown_s"]["queue"] + metrics["breakdown_s"]["cold start"]
            assert waited_s == pytest.approx(metrics["queue_s"]["mean"], abs=1e-12)


def test_distributions_rise_and_agree_with_the_summary(bundle: Bundle) -> None:
    table = bundle.table("latency")
    assert set(table["topology"]) == set(bundle.summary["order"])
    for (name, cls, metric), rows in table.groupby(["topology", "class", "metric"]):
        assert (np.diff(rows["value_s"]) >= 0).all()
        assert (np.diff(rows["share"]) > 0).all()
        found = bundle.summary["topologies"][name]["metrics"]["classes"][cls][metric]
        for share in (0.5, 0.9, 0.95):
            (value,) = rows.loc[np.isclose(rows["share"], share), "value_s"]
            assert value == found[f"p{100 * share:g}"]


def test_a_replica_served_again_ends_its_requests_when_the_run_did(bundle: Bundle) -> None:
    for name in ("own", "cloud"):
        ((pool, number),) = replicas(bundle, name)
        view = replica_steps(bundle, name, pool, number, 0.0, 1e9)
        assert view.deviation_s < 1e-9
        rows = duckdb.sql(
            f"select sum(isl + generated - 1) from '{bundle.path}/requests.parquet' "
            f"where topology = '{name}' and replication = 0"
        ).fetchall()[0]
        steps = view.steps
        # each prompt once and each token but the last: nothing was preempted
        assert steps["prefill_tokens"].sum() + steps["decode_tokens"].sum() == rows[0]
        assert (np.diff(steps["start_s"]) > 0).all()
        ends_s = steps["start_s"] + steps["duration_s"]
        assert (steps["start_s"].to_numpy()[1:] >= ends_s.to_numpy()[:-1] - 1e-9).all()
        assert view.requests.groupby("start_s")["tokens"].sum().sum() == rows[0]
    assert replicas(bundle, "api") == []


def test_the_command_prints_a_window_of_them(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps_command(bundle.path, start_s=20.0, seconds=5.0, format="json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["topology"], found["pool"]) == ("own", "base")
    assert all(15.0 < step["start_s"] < 25.0 for step in found["steps"])
    with pytest.raises(InputError, match="did you mean 'base'"):
        replica_steps(bundle, "own", "bas", 0, 0.0, 1.0)


@pytest.mark.parametrize(
    "drafts", ["", "{method: ngram, num_speculative_tokens: 3, acceptance: 0.6}"], ids=["plain", "drafts"]
)
def test_a_step_lasts_until_the_next_one_begins(tmp_path: Path, drafts: str) -> None:
    sets = ["run.horizon_s=60", "run.replications=1", *([f"engine.speculative_config={drafts}"] if drafts else [])]
    found = read_bundle(simulate(load_scenario(SCENARIO, sets=sets), tmp_path).bundle)
    steps = replica_steps(found, "own", "base", 0, 0.0, 1e9).steps
    gaps_s = steps["start_s"].to_numpy()[1:] - (steps["start_s"] + steps["duration_s"]).to_numpy()[:-1]
    assert gaps_s.min() > -1e-9
    # only after an idle time does a step not follow at once
    assert (np.abs(gaps_s) < 1e-9).mean() > 0.9


CHAT = "workload.classes[chat]"


@pytest.mark.parametrize(
    "changes",
    [
        [f"{CHAT}.prefixes={{groups: 2, tokens: 200}}"],
        [f"{CHAT}.arrivals={{kind: sessions, rate_rps: 1, turns: 4, think_s: 3, system_tokens: 100}}"],
        [f"{CHAT}.arrivals={{kind: closed_loop, concurrency: 6}}", f"{CHAT}.prefixes={{groups: 3, tokens: 160}}"],
    ],
    ids=["prefixes", "sessions", "closed loop"],
)
def test_prompts_that_share_text_are_served_again_with_what_they_share(tmp_path: Path, changes: list[str]) -> None:
    sets = [
        *("engine.enable_prefix_caching=true", "run.horizon_s=60", "run.replications=1"),
        "topologies.own.pools[base].replicas=2",
        *changes,
    ]
    found = read_bundle(simulate(load_scenario(SCENARIO, sets=sets), tmp_path).bundle)
    for pool, number in some_replicas(found):
        view = replica_steps(found, "own", pool, number, 0.0, 1e9)
        assert view.deviation_s < 1e-9
        cached = duckdb.sql(
            f"select sum(cached_tokens) from '{found.path}/requests.parquet' where topology = 'own' "
            f"and replication = 0 and replica = {number}"
        ).fetchall()[0][0]
        assert view.steps["cached_tokens"].sum() == cached > 0


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            [
                "engine.enable_prefix_caching=true",
                "engine.prefix_cache_resets={every_s: 7, reset_running_requests: true}",
            ],
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            ["engine.enable_prefix_caching=true", "engine.kv_connector={gb_per_s_per_gpu: 20, latency_s: 0.01}"],
            marks=pytest.mark.exhaustive,
        ),
        [f"{CHAT}.leaves={{share: 0.5, after_s: 2}}", f"{CHAT}.timeout_s=0.2"],
        pytest.param(
            [
                f"{CHAT}.adapters={{number: 5}}",
                f"{CHAT}.structured_outputs={{share: 0.5, compile_s: 0.3}}",
                *(f"{CHAT}.images={{tokens: 40, share: 0.5}}", "model=ministral-3-8b"),
            ],
            marks=pytest.mark.exhaustive,
        ),
        [f"{CHAT}.stop_token_share=0.5", "engine.async_scheduling=true"],
        [
            "engine.speculative_config={method: ngram, num_speculative_tokens: 3, acceptance: 0.6, acceptance_std: 0.2,"
            " drafted_share: 0.6, drafted_run_steps: 6, by_class: {chat: {acceptance: 0.8}}}",
        ],
    ],
    ids=["resets", "store", "clients leave", "rooms", "stop tokens", "drafts"],
)
def test_what_befalls_requests_in_a_run_befalls_them_when_they_are_served_again(
    tmp_path: Path, changes: list[str]
) -> None:
    sets = [
        *("run.horizon_s=40", "run.replications=1", "topologies.own.pools[base].replicas=2"),
        f"{CHAT}.prefixes={{groups: 3, tokens: 160}}",
        *changes,
    ]
    found = read_bundle(simulate(load_scenario(SCENARIO, sets=sets), tmp_path).bundle)
    for pool, number in some_replicas(found):
        view = replica_steps(found, "own", pool, number, 0.0, 1e9)
        assert view.deviation_s < 1e-9
        rows = duckdb.sql(
            f"select sum(preemptions) from '{found.path}/requests.parquet' "
            f"where topology = 'own' and replication = 0 and replica = {number}"
        ).fetchall()[0]
        assert view.steps["preempted"].sum() == rows[0]
        assert rows[0] > 0 or "reset_running_requests" not in changes[-1]


def test_a_scenario_that_was_changed_after_the_run_is_told(tmp_path: Path) -> None:
    sets = [
        "engine.enable_prefix_caching=true",
        "run.horizon_s=30",
        "run.replications=1",
        f"{CHAT}.prefixes={{groups: 1, tokens: 200}}",
    ]
    found = read_bundle(simulate(load_scenario(SCENARIO, sets=sets), tmp_path).bundle)
    file = found.path / "scenario.resolved.yaml"
    file.write_text(file.read_text().replace("seed: 3", "seed: 4"))
    with pytest.raises(InputError, match="was altered since it was written"):
        replica_steps(found, "own", "base", 0, 0.0, 30.0)


def test_what_one_class_of_two_brings_is_served_again(tmp_path: Path) -> None:
    """Half of the answers of one class end before their limit is known; the other's all do not."""
    other = {"name": "other", "arrivals": {"kind": "poisson", "rate_rps": 1}, "lengths": {"isl": 100, "osl": 30}}
    loaded = load_scenario(
        SCENARIO,
        overlays=[{"workload": {"classes": [other]}}],
        sets=[f"{CHAT}.stop_token_share=0.5", "run.horizon_s=30", "run.replications=1"],
    )
    found = read_bundle(simulate(loaded, tmp_path).bundle)
    for pool, number in some_replicas(found):
        assert replica_steps(found, "own", pool, number, 0.0, 1e9).deviation_s < 1e-9
