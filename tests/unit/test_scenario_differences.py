"""What differs between scenarios, and what of a scenario its bundle keeps."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.resolve.topology import plan_topologies
from simulator.run.fingerprint import fingerprint
from simulator.run.simulate import simulate
from simulator.scenario.differences import ABSENT, Difference, differences, in_words, leaves
from simulator.scenario.load import load_scenario
from simulator.scenario.references import FOLDERS, MAX_COPIED_BYTES, references
from simulator.scenario.resolved import resolved_data, resolved_yaml

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests/data/scenarios/small.yaml"
BATCHING = ROOT / "scenarios/onprem/batching.yaml"
CODE = ROOT / "scenarios/traffic/azure-llm-2023-code.json"

TREES = st.recursive(
    st.integers(0, 2) | st.none(),
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.lists(inner, max_size=2)
        | st.lists(st.builds(lambda value: {"name": "x", "v": value}, inner), max_size=1)
    ),
    max_leaves=8,
)
MAPS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


def data(*sets: str) -> dict[str, object]:
    return resolved_data(load_scenario(SMALL, sets=sets))


def test_differences_name_paths_by_name_and_all_values() -> None:
    changed = data("topologies.mixed.pools[burst].tensor_parallel_size=2", "run.seed=9", "engine.block_size=32")
    assert differences([data(), changed]) == [
        Difference("engine.block_size", (16, 32)),
        Difference("topologies.mixed.pools[burst].tensor_parallel_size", (1, 2)),
        Difference("run.seed", (5, 9)),
    ]


def test_a_missing_part_is_one_difference() -> None:
    more = "topologies.third={providers: [{name: api, offer: together/llama-3.3-70b}]}"
    (found,) = differences([data(), data(more)])
    assert found.path == "topologies.third"
    assert found.values[0] is ABSENT
    assert isinstance(found.values[1], dict)


def test_a_missing_part_can_be_taken_apart_into_what_it_says() -> None:
    more = "topologies.third={providers: [{name: api, offer: together/llama-3.3-70b}]}"
    rows = {entry.path: entry.values for entry in leaves(differences([data(), data(more)]))}
    assert rows["topologies.third.providers"][0] is ABSENT
    assert "together/llama-3.3-70b" in in_words(rows["topologies.third.providers"][1])
    assert all(any(in_words(value) not in ("-", "null", "") for value in values) for values in rows.values())
    mixed = [Difference("isl", (300, {"kind": "lognormal", "mean": 300}))]
    assert leaves(mixed) == mixed


def test_values_in_words_leave_out_what_says_nothing() -> None:
    pool = {"name": "base", "tensor_parallel_size": 4, "billing": None, "autoscaler": {"min": 1, "max": 2}, "tags": []}
    assert in_words(pool) == "tensor_parallel_size: 4, autoscaler: (min: 1, max: 2)"
    assert [in_words(value) for value in (ABSENT, "a b", True, ["x", "y"], 0.5)] == ["-", "a b", "true", "x, y", "0.5"]


@given(MAPS, MAPS)
def test_equal_scenarios_differ_in_nothing_and_others_in_something(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert differences([one, json.loads(json.dumps(one))]) == []
    found = differences([one, other])
    assert bool(found) == (one != other)
    assert len({difference.path for difference in found}) == len(found)
    for difference in found:
        assert difference.values[0] != difference.values[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, []),
        ({"[0]": 1}, [1]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}]),
        ([{"name": "a"}, {"name": "a"}], [{"name": "a"}]),
    ],
    ids=["kind of an empty part", "kind of a part", "order", "how often"],
)
def test_parts_that_say_the_same_otherwise_are_one_difference(one: object, other: object) -> None:
    assert differences([{"x": {"part": one}}, {"x": {"part": other}}]) == [Difference("x.part", (one, other))]


def with_files(folder: Path) -> Path:
    """A scenario that names a model, two traffic files of one name, and a column of lengths."""
    folder.mkdir()
    (folder / "deep").mkdir()
    (folder / "my-model").mkdir()
    shutil.copy(CODE, folder / "code.json")
    shutil.copy(ROOT / "scenarios/traffic/azure-llm-2023-conv.json", folder / "deep/code.json")
    (folder / "lengths.csv").write_text("isl\n10\n20\n")
    config = {
        "model_type": "llama",
        "hidden_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "vocab_size": 32000,
    }
    (folder / "my-model/config.json").write_text(
        json.dumps({**config, "max_position_embeddings": 8192} | {"intermediate_size": 1024})
    )
    path = folder / "own.yaml"
    path.write_text(
        """
schema_version: 1
name: own
model: my-model
workload:
  classes:
    - {name: a, arrivals: {kind: profile, file: code.json}}
    - {name: b, arrivals: {kind: profile, file: deep/code.json}}
    - name: c
      arrivals: {kind: poisson, rate_rps: 1}
      lengths: {isl: {kind: empirical, file: lengths.csv, column: isl}, osl: 5}
topologies: {own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}
cost: {draws: 0}
run: {horizon_s: 30, seed: 1}
"""
    )
    return path


def test_a_bundle_can_be_run_again_wherever_it_lies(tmp_path: Path) -> None:
    loaded = load_scenario(with_files(tmp_path / "here"))
    bundle = simulate(loaded, tmp_path / "runs").bundle
    copies = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.parent != bundle}
    assert {"traffic/code.json", "traffic/lengths.csv", "models/my-model/config.json"} < copies
    assert sum(name.startswith("traffic/code-") for name in copies) == 1
    table = (ROOT / "docs/bundle.md").read_text("utf-8").partition("## ")[0]
    on_the_page = set(re.findall(r"`([\w.]+/?)`", " ".join(re.findall(r"^\|([^|]*)\|", table, re.M))))
    assert {f"{path.name}/" if path.is_dir() else path.name for path in bundle.iterdir()} <= on_the_page
    assert {f"{folder}/" for folder in FOLDERS.values()} <= on_the_page
    shutil.rmtree(tmp_path / "here")
    moved = tmp_path / "elsewhere" / bundle.name
    moved.parent.mkdir()
    shutil.move(bundle, moved)
    again = simulate(load_scenario(moved / "scenario.resolved.yaml"), tmp_path / "again").bundle
    assert again.name == moved.name
    for file in ("summary.json", "requests.parquet", "costs.parquet"):
        assert (again / file).read_bytes() == (moved / file).read_bytes()


def test_where_files_lie_changes_no_result_and_their_content_does(tmp_path: Path) -> None:
    one, other = (load_scenario(with_files(tmp_path / name)) for name in ("one", "other"))
    assert fingerprint(one, references(one)) == fingerprint(other, references(other))
    before = fingerprint(one, references(one))
    (tmp_path / "one/lengths.csv").write_text("isl\n11\n20\n")
    assert fingerprint(one, references(one)) != before


def test_large_files_are_named_with_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_COPIED_BYTES >= 20e6, "a trace of a day is copied"
    monkeypatch.setattr("simulator.scenario.references.MAX_COPIED_BYTES", 1_000_000)
    loaded = load_scenario(with_files(tmp_path / "here"))
    lengths = tmp_path / "here/lengths.csv"
    lengths.write_text("isl\n" + "10\n" * 400_000)
    files = references(loaded)
    (large,) = [file for file in files if file.copy is None]
    assert large.path == "workload.classes[2].lengths.isl.file"
    text = resolved_yaml(loaded, files)
    (line,) = [line for line in text.splitlines() if large.sha256 in line]
    assert line.strip().startswith('file: "lengths.csv"')
    assert "not copied" in line


def test_a_file_that_went_away_is_named_at_its_place(tmp_path: Path) -> None:
    path = with_files(tmp_path / "here")
    loaded = load_scenario(path)
    (tmp_path / "here/lengths.csv").unlink()
    with pytest.raises(InputError, match=f"{path}:11:.*cannot be read"):
        references(loaded)


def test_a_pools_engine_is_resolved_in_full(tmp_path: Path) -> None:
    loaded = load_scenario(BATCHING)
    text = resolved_yaml(loaded)
    assert f"max_model_len: 8192  # {BATCHING.name}:7:" in text.partition("topologies:")[2]
    again = tmp_path / "again.yaml"
    again.write_text(text)
    reloaded = load_scenario(again)
    assert resolved_data(reloaded) == resolved_data(loaded)
    for one, other in zip(plan_topologies(loaded), plan_topologies(reloaded), strict=True):
        assert [engine.config for engine in one.engines] == [engine.config for engine in other.engines]


def test_a_part_that_one_side_lacks_is_told_without_what_holds_unless_given() -> None:
    """A table of a token API beside none has its offer and what was set, not thirty settings nobody touched."""
    topologies = data("topologies[mixed].providers[api].price_scale=0.5")["topologies"]
    assert isinstance(topologies, dict)
    own, mixed = topologies["own"], topologies["mixed"]
    found = {entry.path: entry.values for entry in leaves(differences([own, mixed]))}
    told = {path.partition("].")[2] for path in found if path.startswith("providers[api]")}
    assert {"offer", "price_scale"} <= told
    assert not told & {"fixed_usd_per_month", "minimum_usd_per_month", "free_tokens_per_month"}
    (pool,) = own["pools"]
    of_pool = {path.partition("].")[2] for path in found if path.startswith("pools[burst]")}
    assert {"gpu", "site", "autoscaler.max"} <= of_pool
    assert pool["pipeline_parallel_size"] == 1
    assert "pipeline_parallel_size" not in of_pool
    other = {**own, "pools": [{**pool, "pipeline_parallel_size": 2}]}
    both = {entry.path: entry.values for entry in leaves(differences([own, other]))}
    assert both == {f"pools[{pool['name']}].pipeline_parallel_size": (1, 2)}
