"""A scenario from a mapping is the one of a file that holds the same, and its errors name the same keys."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import InputError, load_scenario, simulate
from simulator.scenario.document import read_document
from simulator.scenario.mapping import mapping_document
from simulator.scenario.set_lines import flow

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("scenarios/*.yaml"))
SCENARIO = ROOT / "tests/data/scenarios/dashboard.yaml"
LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc .:-", max_size=5)
KEYS = st.text("abc_", min_size=1, max_size=4)
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_mapping_is_the_scenario_of_the_file_that_holds_it(file: Path) -> None:
    data = read_document(file).data
    before = deepcopy(data)
    found = load_scenario(data, folder=file.parent)
    assert found.scenario == load_scenario(file).scenario
    assert found.with_("run.seed=99").scenario.run.seed == 99
    assert data == before


@given(DATA)
def test_places_are_those_of_the_same_data_in_a_file(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    file = tmp_path_factory.mktemp("written") / "data.yaml"
    file.write_text(flow(data), encoding="utf-8")
    read, found = read_document(file), mapping_document(data)
    assert found.data == read.data == data
    assert found.origins.keys() == read.origins.keys()


def test_what_python_has_beside_plain_data_is_read_as_what_it_means() -> None:
    data = {
        "a": (np.float64(0.5), np.int32(3), np.bool_(True)),
        "b": Path("x/y"),
        "c": np.arange(3),
        "d": date(2026, 1, 2),
    }
    found = mapping_document(data).data
    assert found == {"a": [0.5, 3, True], "b": "x/y", "c": [0, 1, 2], "d": date(2026, 1, 2)}
    assert [type(value) for value in (*found["a"], *found["c"])] == [float, int, bool, int, int, int]


def test_what_no_scenario_holds_is_told_at_its_keys_all_at_once() -> None:
    itself: dict[str, Any] = {}
    itself["run"] = {"again": itself}
    with pytest.raises(InputError) as caught:
        mapping_document({"run": {"seed": {1}, 3: 4}, "cost": [b"x"]})
    assert [(each.path, each.got) for each in caught.value.problems] == [
        ("run.seed", "set"),
        ("run", "3"),
        ("cost[0]", "bytes"),
    ]
    for endless in (itself, {"a": [0] * 200_000}):
        with pytest.raises(InputError, match="too many values, or holds itself"):
            mapping_document(endless)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": {"horizon_s": -1}}, "run.horizon_s: must be greater than 0 (got -1)"),
        ({"run": {"horizon_s": float("nan")}}, "run.horizon_s: must be a finite number (got nan)"),
        ({"model": None}, "model: is null, and must be given"),
        ({"topologies": []}, "topologies: must"),
    ],
)
def test_errors_name_the_keys(change: dict[str, Any], words: str) -> None:
    data = read_document(SCENARIO).data
    with pytest.raises(InputError) as caught:
        load_scenario(data | change)
    assert words in str(caught.value)
    assert str(caught.value).startswith("mapping: ")


def test_overlays_may_be_files_and_mappings_and_two_of_one_value_are_told(tmp_path: Path) -> None:
    overlay = tmp_path / "seed.yaml"
    overlay.write_text("run: {seed: 7}", encoding="utf-8")
    found = load_scenario(SCENARIO, overlays=[overlay, {"run": {"horizon_s": 33}}])
    assert (found.scenario.run.seed, found.scenario.run.horizon_s) == (7, 33)
    with pytest.raises(InputError, match=r"mapping: run\.seed: is also given by .*seed\.yaml:1:"):
        load_scenario(SCENARIO, overlays=[overlay, {"run": {"seed": 7}}])


def test_files_are_found_from_the_folder(tmp_path: Path) -> None:
    data = read_document(SCENARIO).data
    classes = [{"name": "t", "arrivals": {"kind": "trace", "file": "t.csv"}}]
    (tmp_path / "t.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,10,5\n", encoding="utf-8")
    data["workload"] = {"classes": classes}
    data["run"] = {**data.get("run", {}), "horizon_s": 5, "warmup_s": 0}
    with pytest.raises(InputError, match="no such file"):
        load_scenario(data)
    assert load_scenario(data, folder=tmp_path).path.parent == tmp_path


def test_a_run_of_a_mapping_is_that_of_the_file(tmp_path: Path) -> None:
    sets = ["run.horizon_s=20", "run.warmup_s=0", "run.replications=1"]
    runs = [
        simulate(load_scenario(source, sets=sets, folder=SCENARIO.parent), tmp_path / str(k))
        for k, source in enumerate((SCENARIO, read_document(SCENARIO).data))
    ]
    assert runs[0].summary == runs[1].summary
    assert runs[0].bundle.name == runs[1].bundle.name
