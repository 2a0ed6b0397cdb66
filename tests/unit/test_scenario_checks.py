"""What a scenario may not say: one error per mistake, at its place, in words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.catalog.gpus import gpu
from simulator.catalog.grids import grid
from simulator.catalog.models import model
from simulator.catalog.servers import server_kind
from simulator.catalog.sites import site
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError
from simulator.scenario.jsonschema import json_schema
from simulator.scenario.load import load_scenario
from simulator.scenario.names import check_names

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests/data/scenarios/small.yaml"
CHAT = "workload.classes[chat]"
CLASS = "workload.classes[0]"
API = "topologies.api.providers"
SESSIONS = "{kind: sessions, rate_rps: 1, think_s: 1, turns: %s}"


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        (f"{CHAT}.lengths.isl=-5", f"{CLASS}.lengths.isl: must be greater than 0 (got -5)"),
        (f"{CHAT}.lengths.isl=many", f"{CLASS}.lengths.isl: must be a number (got many)"),
        (f"{CHAT}.lengths.isl={{mean: 3}}", f"{CLASS}.lengths.isl: 'kind' is missing"),
        (
            f"{CHAT}.lengths.isl={{kind: lognorml}}",
            f"{CLASS}.lengths.isl.kind: unknown value 'lognorml': did you mean 'lognormal'?",
        ),
        (
            f"{CHAT}.lengths.isl={{kind: lognormal, mean: .nan, cv: 1}}",
            f"{CLASS}.lengths.isl.mean: must be a finite number (got nan)",
        ),
        (f"{CHAT}.lengths.isl=0.5", f"{CLASS}.lengths.isl: must be a whole number from 1 to 2147483647 (got 0.5)"),
        (f"{CHAT}.lengths.isl=12.5", f"{CLASS}.lengths.isl: must be a whole number"),
        (f"{CHAT}.lengths.osl={{kind: constant, value: 0.5}}", f"{CLASS}.lengths.osl.value: must be a whole number"),
        (f"{CHAT}.lengths.osl=3e9", f"{CLASS}.lengths.osl: must be a whole number"),
        (f"{CHAT}.lengths.isl={{kind: uniform, low: 0.4, high: 0.9}}", f"{CLASS}.lengths.isl: holds no whole number"),
        (f"{CHAT}.lengths.isl={{kind: uniform, low: 0, high: 9}}", f"{CLASS}.lengths.isl.low: must be at least 1"),
        (f"{CHAT}.lengths.isl={{kind: lognormal, mean: 9, cv: 1, max: 3e9}}", "isl.max: must be at most 2147483647"),
        (f"{CHAT}.arrivals={SESSIONS % '1.5'}", f"{CLASS}.arrivals.turns: must be a whole number"),
        ("engine.gpu_memory_utilization=0", "engine.gpu_memory_utilization: must be greater than 0 (got 0)"),
        (f"{CHAT}.slo.ttft_s={{p98: 1}}", f"{CLASS}.slo.ttft_s.p98: unknown value 'p98': did you mean 'p99'?"),
        (f"{CHAT}.slo.tpot_s.p95=-1", f"{CLASS}.slo.tpot_s.p95: must be greater than 0 (got -1)"),
        (f"{CHAT}.arrivals=3", f"{CLASS}.arrivals: must be a mapping of keys to values (got 3)"),
        (
            f"{CHAT}.arrivals={{kind: schedule, rate_rps: 1, hourly: [1, 2]}}",
            f"{CLASS}.arrivals.hourly: must have at least 24, has 2",
        ),
        (f"{CHAT}.arrivals={SESSIONS % '{kind: uniform, low: 5, high: 1}'}", f"{CLASS}.arrivals.turns.low: must be"),
        (f"{CHAT}.prefixes={{groups: 1, tokens: {{kind: empirical, file: no.csv, column: a}}}}", "no such file"),
        (f"{CHAT}.complexity={{kind: uniform, low: 0.9, high: 5}}", f"{CLASS}.complexity.high: must be at most 1"),
        (f"{CHAT}.complexity={{kind: constant, value: 5}}", f"{CLASS}.complexity.value: must be at most 1"),
        (f"{CHAT}.complexity={{kind: uniform, low: 0.9, high: 0.5}}", f"{CLASS}.complexity.low: must be at most high"),
        ("topologies={}", "topologies: must have at least one topology, none is left"),
        ("topologies.a/b={pools: [{name: x, site: lambda, gpu: h200}]}", "topologies.a/b: must be a name of letters"),
        ("topologies.own=3", "topologies.own: must be a mapping of keys to values (got 3)"),
        ("topologies.mixed.pools[burst].commitments=1", "commitments: needs billing reserved_1y"),
        ("topologies.mixed.routing.order=[base, base]", "routing.order: names base more than once"),
        (
            "topologies.mixed.providers[api].name=base",
            "providers[0].name: is the name of topologies.mixed.pools[0], too: give each its own (got base)",
        ),
        (
            "topologies.own.pools=[{name: a, site: lambda, gpu: h200}, {name: a, site: lambda, gpu: h200}]",
            "topologies.own.pools[1].name: is the name of topologies.own.pools[0], too: give each its own (got a)",
        ),
        ("topologies.mixed.routing={kind: weighted, weights: {bse: 1}}", "did you mean 'base'?"),
        ("topologies.mixed.routing={kind: complexity, limits: {bse: 1}}", "did you mean 'base'?"),
        ("run.seed=true", "run.seed: must be a number (got True)"),
        ("run.seed='7'", "run.seed: must be a number without quotes (got 7)"),
        ("run.seed=1.5", "run.seed: must be a valid integer"),
        ("engine.enable_prefix_caching=1", "engine.enable_prefix_caching: must be true or false (got 1)"),
        ("engine.speculative_config={num_speculative_tokens: 3}", "engine.speculative_config: 'acceptance' is missing"),
        (
            "engine.speculative_config={method: draft_model, num_speculative_tokens: 3, acceptance: 0.7}",
            "engine.speculative_config: 'model' is missing",
        ),
        (
            "topologies.own.pools[base].engine.speculative_config="
            "{num_speculative_tokens: 3, acceptance: 0.7, model: qwen3}",
            "model: method eagle has no draft model of its own (got qwen3)",
        ),
        ("topologies.mixed.routing={kind: cascade, first: base, second: bse, escalate: {share: 0.1}}", "mean 'base'?"),
        (
            "topologies.mixed.routing={kind: cascade, first: base, second: base, escalate: {share: 0.1}}",
            "routing.second: must be another target than first",
        ),
        (
            "topologies.mixed.routing={kind: cascade, first: base, second: api, escalate: {}}",
            "routing.escalate: say what goes on: share, above_complexity or both",
        ),
        ("cost.overrides={power.pue: .inf}", "cost.overrides.power.pue: must be a finite number (got inf)"),
        ("schema_version=2", "schema_version: unknown value '2': known are 1"),
        ("model=null", "model: is null, and must be given"),
        ("run.horizon_s=null", "run.horizon_s: is null, and must be given"),
        ("study=null", "study: is null: write {}, or leave the key out"),
        ("cost.taxes=null", "cost.taxes: is null: write [], or leave the key out"),
        ("engine.batching=null", "engine.batching: is null: write continuous, or leave the key out"),
        ("topologies.own.pools[base].replicas=null", "replicas: is null: write 1, or leave the key out"),
        ("topologies.own.fees=[null]", "topologies.own.fees[0]: is null: give it a value, or remove it"),
        ("topologies.mixed.providers[api].residency=null", "residency: is null: write false, or leave the key out"),
        (
            "topologies.mixed.providers[api].minimum_usd_per_month=null",
            "providers[0].minimum_usd_per_month: is null: write 0.0, or leave the key out",
        ),
        (f"{CHAT}.slo.ttft_s={{p99: null}}", f"{CLASS}.slo.ttft_s.p99: is null: give it a value, or remove it"),
        (f"{CHAT}.arrivals.kind=null", f"{CLASS}.arrivals.kind: is null, and must be given: known are closed_loop"),
        ("cost.overrides={power.pue: null}", "cost.overrides.power.pue: is null: give it a value, or remove it"),
    ],
)
def test_a_mistake_is_one_error_at_its_place(assignment: str, problem: str) -> None:
    if assignment.startswith("topologies.mixed.providers"):
        sets = [assignment, "topologies.mixed.routing={kind: weighted}"]
    else:
        sets = [assignment]
    with pytest.raises(InputError) as caught:
        load_scenario(SMALL, sets=sets)
    (found,) = map(str, caught.value.problems)
    assert problem in found
    assert found.startswith((f"--set {assignment}", str(SMALL)))


def test_prefixes_beside_sessions_are_refused() -> None:
    sets = [f"{CHAT}.arrivals={SESSIONS % '3'}", f"{CHAT}.prefixes={{groups: 1, tokens: 100}}"]
    with pytest.raises(InputError, match="system_tokens"):
        load_scenario(SMALL, sets=sets)


def test_whole_numbers_may_be_written_with_an_exponent() -> None:
    assert (
        load_scenario(SMALL, sets=["engine.max_num_batched_tokens=1e4"]).scenario.engine.max_num_batched_tokens == 10000
    )


def test_all_unknown_names_are_reported_at_once_each_at_its_place() -> None:
    sets = ["model=llama-3.1-8", "topologies.mixed.pools[burst].gpu=h100sxm", "topologies.own.pools[base].model=qwen"]
    loaded = load_scenario(SMALL, sets=[*sets, "topologies.mixed.pools[base].site=datacenter"])
    with pytest.raises(InputError) as caught:
        check_names(loaded, model, gpu, site, token_offer, server_kind, grid)
    by_path = {problem.path: problem for problem in caught.value.problems}
    assert [*by_path] == [
        "model",
        "topologies.own.pools[0].model",
        "topologies.mixed.pools[0].site",
        "topologies.mixed.pools[1].gpu",
    ]
    assert "did you mean 'h100-sxm'?" in by_path["topologies.mixed.pools[1].gpu"].message
    assert by_path["model"].file == "--set model=llama-3.1-8"


def test_a_name_in_the_file_is_placed_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "offer.yaml"
    path.write_text(SMALL.read_text().replace("together/llama-3.3-70b", "together/llama-3.3-70"))
    with pytest.raises(InputError) as caught:
        check_names(load_scenario(path), model, gpu, site, token_offer, server_kind, grid)
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith(f"{path}:23:36: topologies.mixed.providers[0].offer: unknown")


def test_a_model_may_be_a_config_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(SMALL.read_text().replace("llama-3.1-8b-instruct", "own/config.json"))
    with pytest.raises(InputError, match="no such file"):
        check_names(load_scenario(path), model, gpu, site, token_offer, server_kind, grid)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/config.json").write_text("{}")
    check_names(load_scenario(path), model, gpu, site, token_offer, server_kind, grid)


@pytest.mark.parametrize(
    "path", [path for path in sorted(ROOT.glob("scenarios/**/*.yaml")) if path.parent.name != "sweeps"]
)
def test_shipped_scenarios_name_only_what_the_catalog_has(path: Path) -> None:
    if path.parent.name != "overlays":
        check_names(load_scenario(path), model, gpu, site, token_offer, server_kind, grid)


def test_every_key_of_the_format_is_described() -> None:
    schema = json_schema()
    models = {"Scenario": schema, **schema["definitions"]}
    assert [name for name, entry in models.items() if not entry.get("description")] == []
    keys = [
        f"{name}.{key}"
        for name, entry in models.items()
        for key, field in entry["properties"].items()
        if not field.get("description")
    ]
    assert keys == []


@pytest.mark.parametrize(
    ("slo", "place", "meant"),
    [
        ("{ttft_s: {p95: 2000}}", "ttft_s.p95", "33.3 minutes: did you mean 2000 ms? Those are 2"),
        ("{ttft_s: {p99: 200}}", "ttft_s.p99", "3.33 minutes: did you mean 200 ms? Those are 0.2"),
        ("{tpot_s: {p50: 40}}", "tpot_s.p50", "0.04"),
        ("{tpot_s: {p50: 8}}", "tpot_s.p50", "8 s: did you mean 8 ms? Those are 0.008"),
        ("{e2e_s: {p95: 15000}}", "e2e_s.p95", "15000 ms? Those are 15"),
    ],
)
def test_milliseconds_written_as_seconds_are_noticed(slo: str, place: str, meant: str) -> None:
    with pytest.raises(InputError) as refused:
        load_scenario(SMALL, (), [f"{CHAT}.slo={slo}"])
    assert f"{CLASS}.slo.{place}: is" in str(refused.value)
    assert meant in str(refused.value)
    load_scenario(SMALL, (), [f"{CHAT}.slo={slo}", f"{CHAT}.service_tier=flex"])
    load_scenario(SMALL, (), [f"{CHAT}.slo={{ttft_s: {{p95: 99}}, tpot_s: {{p50: 1.9}}, e2e_s: {{p99: 7100}}}}"])


@pytest.mark.parametrize(
    ("change", "place", "meant"),
    [
        (f"{CHAT}.timeout_s=30000", f"{CLASS}.timeout_s", "30000 ms? Those are 30"),
        ("topologies.own.pools[0].network_s=20", "topologies.own.pools[0].network_s", "is 20 s: did you mean 20 ms"),
        (
            f"{API}=[{{name: a, offer: openai/gpt-4o-mini, ttft_s: {{median: 400}}}}]",
            "topologies.api.providers[0].ttft_s.median",
            "400 ms? Those are 0.4",
        ),
        (
            f"{API}=[{{name: a, offer: openai/gpt-4o-mini, tpot_s: {{median: 12}}}}]",
            "topologies.api.providers[0].tpot_s.median",
            "12 ms? Those are 0.012",
        ),
    ],
)
def test_other_times_in_milliseconds_are_noticed(change: str, place: str, meant: str) -> None:
    with pytest.raises(InputError) as refused:
        load_scenario(SMALL, (), [change])
    assert f"{place}: is" in str(refused.value)
    assert meant in str(refused.value)
