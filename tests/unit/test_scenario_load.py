"""Scenario files: positions in errors, overlays, assignments, the resolved view and the JSON Schema."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from simulator.errors import InputError
from simulator.resolve.sizes import at_start
from simulator.resolve.topology import plan_topologies
from simulator.scenario.jsonschema import json_schema
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.scenario.resolved import resolved_yaml

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests/data/scenarios/small.yaml"
SHIPPED = [path for path in sorted(ROOT.glob("scenarios/**/*.yaml")) if path.parent.name not in ("overlays", "sweeps")]


def plan(path: Path, sets: tuple[str, ...], overlays: tuple[Path, ...]) -> None:
    plan_topologies(load_scenario(path, overlays, sets))


def refused(path: Path, *sets: str, overlays: tuple[Path, ...] = ()) -> list[str]:
    with pytest.raises(InputError) as caught:
        plan(path, sets, overlays)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = SMALL.read_text()
    assert old in text
    target = tmp_path / "edited.yaml"
    target.write_text(text.replace(old, new))
    return target


def test_an_unknown_key_is_named_with_its_place_and_the_closest_one(tmp_path: Path) -> None:
    path = edited(tmp_path, "rate_rps: 4", "rate_rp: 4")
    problems = refused(path)
    assert f"{path}:8:42: workload.classes[0].arrivals.rate_rp: unknown key 'rate_rp': did you mean 'rate_rps'?" in (
        problems
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = edited(tmp_path, "replications: 2, seed: 5", "replications: 0, seed: -1")
    problems = refused(path)
    assert len(problems) == 2
    assert problems[0].startswith(f"{path}:25:")
    assert "(got 0)" in problems[0]


@pytest.mark.parametrize("value", ["-1", "0", ".nan", ".inf", "many"])
def test_impossible_numbers_are_refused(value: str) -> None:
    (problem,) = refused(SMALL, f"workload.classes[chat].arrivals.rate_rps={value}")
    assert "workload.classes[0].arrivals.rate_rps" in problem


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("topologies.own.pools[base].gpu=h100sxm", "did you mean 'h100-sxm'"),
        ("topologies.own.pools[base].site=datacenter", "did you mean 'datacentre'"),
        ("model=llama-3.1-8", "did you mean 'llama-3.1-8b'"),
        ("topologies.mixed.providers[api].offer=together/llama-3.3", "did you mean 'together/llama-3.3-70b'"),
        ("topologies.mixed.routing.order=[base, brust]", "did you mean 'burst'"),
        ("run.warmup_s=300", "must be less than horizon_s"),
        ("topologies.own.pools=[]", "needs at least one pool or provider"),
        ("topologies.own.pools[bass].tensor_parallel_size=2", "did you mean 'base'"),
    ],
)
def test_names_that_do_not_exist_show_the_closest(assignment: str, words: str) -> None:
    assert words in "\n".join(refused(SMALL, assignment))


def test_a_model_that_does_not_fit_says_by_how_much_and_what_would() -> None:
    (problem, *_) = refused(SMALL, "model=llama-3.1-70b")
    assert "topologies.own.pools[0]" in problem
    assert "GiB" in problem
    assert "tp" in problem.lower()


def test_overlays_merge_by_name_and_conflicts_are_errors(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("topologies: {own: {pools: [{name: base, replicas: 3}, {name: more, site: lambda, gpu: h200}]}}\n")
    second.write_text("topologies: {own: {pools: [{name: base, tensor_parallel_size: 2}]}}\n")
    loaded = load_scenario(SMALL, [first, second])
    base, more = loaded.scenario.topologies["own"].pools
    assert (base.replicas, base.tensor_parallel_size, base.billing, more.gpu) == (3, 2, "owned", "h200")
    assert loaded.place("topologies.own.pools[0].replicas")[0] == str(first)
    second.write_text("topologies: {own: {pools: [{name: base, replicas: 4}]}}\n")
    (problem,) = refused(SMALL, overlays=(first, second))
    assert "topologies.own.pools[0].replicas" in problem
    assert str(first) in problem
    assert str(second) in problem


def test_assignments_win_and_are_named_as_origin() -> None:
    loaded = load_scenario(SMALL, sets=["run.seed=9", "engine.block_size=32"])
    assert (loaded.scenario.run.seed, loaded.scenario.engine.block_size) == (9, 32)
    assert loaded.place("run.seed") == ("--set run.seed=9", None, None)
    assert "is also given" in refused(SMALL, "run.seed=1", "run.seed=2")[0]


def test_the_resolved_view_loads_to_the_same_scenario_and_names_origins(tmp_path: Path) -> None:
    loaded = load_scenario(SMALL, sets=["run.seed=9"])
    text = resolved_yaml(loaded)
    again = tmp_path / "again.yaml"
    again.write_text(text)
    assert load_scenario(again).scenario == loaded.scenario
    assert "seed: 9  # --set run.seed=9" in text
    assert f"rate_rps: 4.0  # {SMALL.name}:8:" in text
    assert "tolerance: 0.1  # default" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2\n", "not valid YAML"),
        ("", "is empty"),
        ("- 1\n", "must be a mapping"),
        ("name: a\nname: b\n", "is given twice"),
        ("a: &a [1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n", "unknown key"),
        ("a: !!python/object/apply:os.system [echo]\n", ""),
    ],
)
def test_broken_files_are_refused_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    problems = refused(path)
    assert words in "\n".join(problems)
    assert all(problem.startswith(str(path)) for problem in problems)


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines) + "\n")
    assert "aliases" in refused(path)[0]


def test_a_missing_traffic_file_is_named(tmp_path: Path) -> None:
    path = edited(tmp_path, "{kind: poisson, rate_rps: 4}", "{kind: trace, file: nowhere.csv}")
    assert "no such file" in refused(path)[0]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_plan_and_satisfy_the_schema(path: Path) -> None:
    loaded: LoadedScenario = load_scenario(path)
    assert [topology.name for topology in plan_topologies(at_start(loaded))] == [*loaded.scenario.topologies]
    data = YAML(typ="safe").load(path.read_text())
    jsonschema.Draft7Validator(json_schema()).validate(data)


def test_the_committed_schema_is_current_and_valid() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    committed = json.loads((ROOT / "scenarios/schema/scenario.schema.json").read_text())
    assert committed == json_schema()


def test_the_schema_refuses_what_the_loader_refuses(tmp_path: Path) -> None:
    shutil.copy(SMALL, tmp_path / "copy.yaml")
    data = YAML(typ="safe").load(SMALL.read_text())
    data["run"]["horizn_s"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(json_schema()).validate(data)


def test_a_class_may_merge_what_another_says(tmp_path: Path) -> None:
    """What is wrong in it is told where it stands; --set changes one of them alone."""
    text = (Path(__file__).resolve().parents[1] / "data/scenarios/small.yaml").read_text(encoding="utf-8")
    anchored = text.replace("- name: chat\n", "- &chat\n      name: chat\n")
    path = tmp_path / "merged.yaml"
    path.write_text(anchored.replace("topologies:", "    - {<<: *chat, name: code, priority: 2}\ntopologies:", 1))
    loaded = load_scenario(path, sets=["workload.classes[code].arrivals.rate_rps=9"])
    chat, _, code = loaded.scenario.workload.classes
    assert (code.lengths, code.slo, code.priority) == (chat.lengths, chat.slo, 2)
    assert (chat.arrivals.rate_rps, code.arrivals.rate_rps) == (4, 9)
    assert loaded.place("workload.classes[2].lengths") == loaded.place("workload.classes[0].lengths")
    path.write_text(path.read_text(encoding="utf-8").replace("{<<: *chat,", "{<<: *chat, lengths: {isl: 5},"))
    with pytest.raises(InputError, match="'osl' is missing") as caught:
        load_scenario(path)
    assert f"{path}:17:19: workload.classes[2].lengths: " in str(caught.value)
