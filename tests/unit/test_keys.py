"""The keys of a scenario as people look them up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.scenario.keys import find_keys, keys_page, keys_that_tell, near_keys, scenario_keys
from simulator.scenario.unknown import _sections

KEYS = scenario_keys()
BY_PATH = {key.path: key for key in KEYS}


def test_every_field_of_every_section_is_a_key_with_a_meaning() -> None:
    names = {key.name for key in KEYS}
    for _, model in _sections():
        assert set(model.model_fields) - {"kind"} <= names
    assert not [key.path for key in KEYS if not key.text]


def test_each_part_of_what_is_told_of_a_key_is_one_line_of_its_own() -> None:
    """Meanings of two lines of the schema went on at the left edge, as another key's name."""
    for key in KEYS:
        path, *told = key.in_words().split("\n")
        assert path == key.path
        assert len(told) == 2 + bool(key.vllm)
        assert all(line.startswith("  ") and line[2] != " " for line in told)


def test_a_key_says_what_may_stand_there_and_what_holds_without_it() -> None:
    share = BY_PATH["engine.watermark"]
    assert (share.values, share.default) == ("number at least 0 and below 1", "0.0")
    assert BY_PATH["workload.classes[].name"].unless_given == "must be given"
    assert BY_PATH["run.time_zone"].unless_given == "may be left out"
    assert BY_PATH["engine.scheduling_policy"].values == "fcfs or priority"
    assert BY_PATH["topologies.*.pools[].replicas"].values == "whole number at least 0 or auto"
    assert BY_PATH["workload.classes"].values == "list of mapping"
    assert BY_PATH["workload.classes[].arrivals(schedule).hourly"].values == "list of number at least 0"


@pytest.mark.parametrize(
    "wanted",
    ["topologies.cloud.pools[rented].tensor_parallel_size", "tensor_parallel_size", "tp", "pools.tensor_parallel_size"],
)
def test_a_key_is_found_by_its_path_its_end_and_its_name_elsewhere(wanted: str) -> None:
    assert [key.path for key in find_keys(wanted, KEYS)] == ["topologies.*.pools[].tensor_parallel_size"]


def test_a_section_is_shown_with_what_stands_in_it() -> None:
    found = [key.path for key in find_keys("speculative_config", KEYS)]
    assert "engine.speculative_config" in found
    assert "engine.speculative_config.num_speculative_tokens" in found
    assert "engine.max_num_seqs" not in found


def test_an_unknown_key_names_the_closest() -> None:
    with pytest.raises(InputError, match="rate_rps"):
        find_keys("rate", KEYS)
    with pytest.raises(InputError, match="lists the sections"):
        find_keys("zzz", KEYS)
    for odd in ("", ".", "[", "*"):
        with pytest.raises(InputError):
            find_keys(odd, KEYS)


def test_every_key_of_the_page_is_found_by_its_last_name() -> None:
    for name in {key.name for key in KEYS}:
        found = set(find_keys(name, KEYS))
        assert not [key.path for key in KEYS if key.name == name and key not in found]


def test_a_kind_of_section_is_found_with_what_stands_in_it() -> None:
    for wanted in ("sessions", "arrivals.sessions"):
        found = [key.path for key in find_keys(wanted, KEYS)]
        assert found[0] == "workload.classes[].arrivals"
        assert "workload.classes[].arrivals(sessions).think_s" in found
        assert all(path == found[0] or path.startswith(f"{found[0]}(sessions).") for path in found)
    kinds = {kind for key in KEYS for kind in re.findall(r"\((\w+)\)", key.path)}
    for kind in kinds:
        assert find_keys(kind, KEYS)
    with pytest.raises(InputError):
        find_keys("engine.sessions", KEYS)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("spare", {"spares"}),
        ("outstanding", {"outstanding_per_replica"}),
        ("max_num_seqss", {"max_num_seqs"}),
        ("zzz", set()),
        ("per", set()),
        ("", set()),
    ],
)
def test_keys_of_nearly_that_name_are_near(wanted: str, names: set[str]) -> None:
    assert {key.name for key in near_keys(wanted, KEYS)} >= names
    assert bool(near_keys(wanted, KEYS)) == bool(names)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("spot", {"reclaims", "billed"}),
        ("carbon", {"co2_kg_per_kwh", "co2_usd_per_tonne"}),
        ("spare", set()),
        ("sp", set()),
        ("requests", set()),
        ("zzz", set()),
    ],
)
def test_keys_that_speak_of_a_word_are_told_where_none_is_called_so(wanted: str, names: set[str]) -> None:
    """Nothing of two letters, of what names have, or of what many speak."""
    found = keys_that_tell(wanted, KEYS)
    assert {key.name for key in found} >= names
    assert bool(found) == bool(names)
    assert len({key.name for key in found}) == len(found)


def test_the_page_is_what_the_command_writes() -> None:
    page = Path(__file__).parents[2] / "docs" / "keys.md"
    assert page.read_text("utf-8") == keys_page(KEYS), "servecast explain --format md > docs/keys.md"
