"""The grid of a sweep: what it combines and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.scenario.document import read_document
from simulator.scenario.short_names import short_names
from simulator.sweep.grid import Sweep, assignments, axis, read_sweep
from simulator.sweep.row import column
from simulator.sweep.tasks import points_and_tasks

ROOT = Path(__file__).resolve().parents[2]
SIZED = ROOT / "tests/data/scenarios/sized.yaml"


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("run.seed=1,2,3", "run.seed", [1, 2, 3]),
        ("engine.dtype=fp8,bf16", "engine.dtype", ["fp8", "bf16"]),
        ("a.b=[1, 2],{c: 3, d: 4}", "a.b", [[1, 2], {"c": 3, "d": 4}]),
        ('name="x,y",z', "name", ["x,y", "z"]),
        ("a=null,true,0.5", "a", [None, True, 0.5]),
        ("pools[a=b].tensor_parallel_size=1", "pools[a", ["b].tensor_parallel_size=1"]),
    ],
)
def test_values_of_an_axis_are_yaml(text: str, path: str, values: list[object]) -> None:
    if "[a=b]" in text:
        with pytest.raises(InputError):
            axis(text)
    else:
        assert axis(text) == (path, values)


@pytest.mark.parametrize("text", ["run.seed", "run.seed=", "=1,2", "run.seed=[1", "run.seed=1]"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--grid"):
        axis(text)


def test_points_are_all_combinations_the_last_path_fastest() -> None:
    sweep = read_sweep(SIZED, ["run.seed=1,2", "engine.block_size=16,32"])
    assert sweep.name == "sized-sweep"
    assert [tuple(point.values()) for point in sweep.points()] == [(1, 16), (1, 32), (2, 16), (2, 32)]
    loaded = sweep.load(sweep.points()[1])
    assert (loaded.scenario.run.seed, loaded.scenario.engine.block_size) == (1, 32)


def test_a_sweep_file_names_scenario_overlays_and_fixed_values(tmp_path: Path) -> None:
    file = ROOT / "scenarios/sweeps/load.yaml"
    sweep = read_sweep(file, ["run.seed=1,2"], sets=["run.sample_s=5"])
    assert sweep.name == "load"
    assert [*sweep.axes][-1] == "run.seed"
    assert len(sweep.points()) == 12
    scenario = sweep.load(sweep.points()[0]).scenario
    assert scenario.run.horizon_s == 600
    assert scenario.run.sample_s == 5
    assert not scenario.run.keep_requests


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("scenario: no.yaml\ngrid: {run.seed: [1]}", "2:11: scenario", "no such file"),
        ("scenario: sized.yaml\ngrid: {run.seed: []}", "3:8: grid.run.seed", "at least 1"),
        ("scenario: sized.yaml\ngrid: {run.seed: 1}", "3:18: grid.run.seed", "must be a list"),
        ("scenario: sized.yaml\ngrid: {}", "3:1: grid", "at least 1"),
        ("scenario: sized.yaml\noverlay: []\ngrid: {run.seed: [1]}", "3:1: overlay", "did you mean 'overlays'"),
        ("grid: {run.seed: [1]}", "1:1:", "'scenario' is missing"),
    ],
)
def test_a_broken_sweep_file_is_named_at_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(f"schema_version: 1\n{text}\n")
    (tmp_path / "sized.yaml").write_text(SIZED.read_text())
    with pytest.raises(InputError) as caught:
        read_sweep(file)
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith(f"{file}:{place}")
    assert words in problem


def test_an_axis_twice_and_no_axis_are_refused() -> None:
    with pytest.raises(InputError, match="varied twice"):
        read_sweep(SIZED, ["run.seed=1", "run.seed=2"])
    with pytest.raises(InputError, match=r"\.yaml: nothing to vary"):
        read_sweep(SIZED)


def test_an_assignment_is_told_as_it_was_written() -> None:
    assert assignments({"name": "Zürich", "run.seed": 3}) == ['name="Zürich"', "run.seed=3"]


def test_short_names_are_as_short_as_they_can_be_told_apart() -> None:
    paths = ["topologies.a.pools[x].tensor_parallel_size", "topologies.b.pools[x].tensor_parallel_size", "run.seed"]
    assert short_names(paths) == {
        "topologies.a.pools[x].tensor_parallel_size": "a.pools[x].tensor_parallel_size",
        "topologies.b.pools[x].tensor_parallel_size": "b.pools[x].tensor_parallel_size",
        "run.seed": "seed",
    }
    assert short_names(["seed", "run.seed"]) == {"seed": "seed", "run.seed": "run.seed"}


def test_columns_keep_one_kind_of_value_and_write_others_as_json() -> None:
    assert column([1, 2.5]) == [1, 2.5]
    assert column(["a", "b"]) == ["a", "b"]
    assert column([True, False]) == [True, False]
    assert column([1, "a"]) == ["1", '"a"']
    assert column([None, {"b": 1}]) == ["null", '{"b": 1}']
    assert column([True, 2]) == ["true", "2"]


def test_a_scenario_that_is_wrong_before_any_value_is_set_is_refused(tmp_path: Path) -> None:
    """Each point sets the warm-up, so that all of them would hold; a value that is none makes that point an error."""
    file = tmp_path / "sized.yaml"
    file.write_text(SIZED.read_text().replace("warmup_s: 5", "warmup_s: 50"))
    axes = {"run.warmup_s": [5, 6]}
    with pytest.raises(InputError, match=r"run\.warmup_s: must be less than horizon_s"):
        points_and_tasks(Sweep("s", file, (read_document(file),), (), axes))
    points, tasks = points_and_tasks(Sweep("s", SIZED, (read_document(SIZED),), (), {"run.warmup_s": [5, 50]}))
    assert [(point.values, point.error is None) for point in points] == [
        *(({"run.warmup_s": 5}, True), ({"run.warmup_s": 50}, False)),
    ]
    assert len(tasks) == 3, "a task for each topology of the point that holds"
