"""What `--set` takes: the scenario with these lines has the values, below an event where that changes the topology."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_cases import chat, written

from simulator.scenario.document import parse_document
from simulator.scenario.phases import at_month
from simulator.scenario.set_lines import flow, path_text, set_lines

POOLS = (
    "{name: base, site: datacentre, gpu: h100-sxm, billing: owned}, "
    "{name: burst, site: aws-us-east, gpu: h100-sxm, replicas: 0, "
    "schedule: [{hours: 9-17, replicas: 2}, {days: sat, hours: auto, replicas: auto}]}, "
    "{name: '0', site: aws-us-east, gpu: l40s}"
)
ROUTING = "{kind: windows, windows: [{hours: auto, use: [burst]}], otherwise: [base, '0']}"
TOPOLOGY = f"mix.ed: {{pools: [{POOLS}], routing: {ROUTING}}}"
VALUES: list[tuple[str, Any]] = [
    ("pools[base].replicas", 3),
    ("pools[burst].schedule[1].replicas", 2),
    ("pools[1].schedule[1].hours", "22-6"),
    ("pools[2].autoscaler", {"min": 1, "max": 4, "target_per_replica": 12.3456789}),
    ("routing.windows[0].hours", "22-6"),
]
CHANGES = [
    "{staff: {base_fte: 1}}",
    "{pools: [{name: base, gpu: h200}]}",
    "{pools: [{name: '0', gpu: h200}, {name: burst, price_usd_per_gpu_hour: 3}]}",
    "{pools: [{name: burst, schedule: [{hours: 8-18, replicas: 1}, {days: sun, hours: auto, replicas: auto}]}]}",
    "{pools: [{name: '0', autoscaler: {min: 1, max: 9, target_per_replica: 8}}, {name: new, site: aws, gpu: b200}]}",
    "{routing: {windows: [{days: mon, hours: auto, use: [burst]}]}, pools: [{name: base, engine: {max_num_seqs: 64}}]}",
]


def loaded(folder: Path, events: str, *sets: str) -> Any:
    return written(folder, chat(TOPOLOGY, study=f"months: 4, events: [{events}]"), *sets).scenario


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["next", "7"])
def test_a_month_has_the_values_and_what_else_its_event_gives(tmp_path: Path, change: str, name: str) -> None:
    before = "{name: first, from_month: 2, topology: mix.ed, change: {pools: [{name: base, tensor_parallel_size: 2}]}}"
    events = f"{before}, {{name: '{name}', from_month: 3, topology: mix.ed, change: {change}}}"
    plain = loaded(tmp_path, events)
    lines = set_lines(plain, 4, "mix.ed", VALUES)
    assert all(line.startswith("study.events[") for line in lines)
    found = loaded(tmp_path, events, *lines)
    assert at_month(found, 2).topologies == at_month(plain, 2).topologies
    then, values = (at_month(one, 3).topologies["mix.ed"].model_dump() for one in (found, plain))
    for path, value in VALUES:
        has = at(then, path)
        assert (has if not isinstance(value, dict) else {key: has[key] for key in value}) == value
        put(values, path, has)
    assert then == values


def at(data: Any, path: str) -> Any:
    for key in keys(data, path):
        data = data[key]
    return data


def put(data: Any, path: str, value: Any) -> None:
    *above, last = keys(data, path)
    for key in above:
        data = data[key]
    data[last] = value


def keys(data: Any, path: str) -> list[Any]:
    found: list[Any] = []
    for step in path.replace("[", ".[").split("."):
        key: Any = step
        if step.startswith("["):
            names = [one.get("name") for one in data]
            key = int(step[1:-1]) if step[1:-1].isdecimal() else names.index(step[1:-1])
        data = data[key] if not isinstance(data, dict) or key in data else None
        found.append(key)
    return found


def test_without_an_event_by_then_the_topology_itself_has_the_values(tmp_path: Path) -> None:
    event = f"{{name: later, from_month: 3, topology: mix.ed, change: {CHANGES[0]}}}"
    plain = loaded(tmp_path, event)
    lines = set_lines(plain, 2, "mix.ed", VALUES)
    assert lines[0] == "topologies[mix.ed].pools[base].replicas=3"
    found = loaded(tmp_path, event, *lines).topologies["mix.ed"].model_dump()
    assert [at(found, path) for path, _ in VALUES[:3]] == [value for _, value in VALUES[:3]]


def test_a_place_is_named_by_names_where_they_lead_there() -> None:
    pools = [{"name": "base", "slo": {"p99.9": 1}}, {"name": "1"}, {"name": "0"}]
    tree = {"topologies": {"mix.ed": {"pools": pools, "sizes": [1, 2]}}}
    where = ("topologies", "mix.ed", "pools")
    assert path_text(tree, (*where, 0, "slo", "p99.9")) == "topologies[mix.ed].pools[base].slo[p99.9]"
    assert path_text(tree, (*where, 2, "replicas")) == "topologies[mix.ed].pools[2].replicas"
    assert path_text(tree, ("topologies", "mix.ed", "sizes", 1)) == "topologies[mix.ed].sizes[1]"
    assert path_text(tree, ("run", "seed")) == "run.seed"


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner))
)
def test_a_value_is_read_as_what_it_is(value: Any) -> None:
    assert parse_document(flow(value), "").data == value


@given(st.sampled_from(["9-17", "yes", "null", "1e3", "12:30", "0x1f", "2027-01", "auto", "1_000", "~", ".5", "on"]))
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert parse_document(flow(text), "").data == text
