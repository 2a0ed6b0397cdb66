"""Overlays and assignments: deep merging, clashes, and the resolved view."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from simulator.errors import InputError
from simulator.scenario.document import parse_document
from simulator.scenario.load import load_scenario
from simulator.scenario.merge import apply_sets, merge_overlays
from simulator.scenario.resolved import resolved_data, resolved_yaml

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests/data/scenarios/small.yaml"
SHIPPED = [path for path in sorted(ROOT.glob("scenarios/**/*.yaml")) if path.parent.name not in ("overlays", "sweeps")]


def overlay(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text + "\n")
    return path


def clash(overlays: list[Path], sets: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        load_scenario(SMALL, overlays, sets)
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ("run: {seed: 1}", "run: {seed: 2}", "run.seed"),
        ("run: {seed: 1}", "run: {seed: 1}", "run.seed"),
        ("cost: {draws: 1}", "cost: {pue: 1.2, draws: 2}", "cost.draws"),
        (
            "topologies: {own: {pools: [{name: new, site: lambda, gpu: h200, tensor_parallel_size: 1}]}}",
            "topologies: {own: {pools: [{name: new, tensor_parallel_size: 2}]}}",
            "topologies.own.pools[1].tensor_parallel_size",
        ),
        (
            "topologies: {mixed: {routing: {order: [base, burst]}}}",
            "topologies: {mixed: {routing: {order: [api, base]}}}",
            "topologies.mixed.routing.order",
        ),
        (
            "engine: {speculative_config: null}",
            "engine: {speculative_config: {num_speculative_tokens: 2, acceptance: 0.5}}",
            "engine.speculative_config.num_speculative_tokens",
        ),
        (
            "engine: {speculative_config: {num_speculative_tokens: 2, acceptance: 0.5}}",
            "engine: {speculative_config: null}",
            "engine.speculative_config",
        ),
    ],
)
def test_two_overlays_that_give_one_value_are_an_error_naming_both(
    tmp_path: Path, first: str, second: str, path: str
) -> None:
    one, two = overlay(tmp_path, "one.yaml", first), overlay(tmp_path, "two.yaml", second)
    message = clash([one, two], [])
    assert f": {path}: is also given by {one}:1:" in message
    assert str(two) in message


def test_overlays_that_give_different_parts_of_a_new_mapping_get_on(tmp_path: Path) -> None:
    one = overlay(tmp_path, "one.yaml", "cost: {draws: 1}")
    two = overlay(tmp_path, "two.yaml", "cost: {pue: 1.2}")
    cost = load_scenario(SMALL, [one, two]).scenario.cost
    assert (cost.draws, cost.pue) == (1, 1.2)


def test_an_assignment_against_an_overlay_is_an_error_naming_both(tmp_path: Path) -> None:
    one = overlay(tmp_path, "one.yaml", "run: {seed: 1}")
    assert f"--set run.seed=2: run.seed: is also given by {one}:1:13" in clash([one], ["run.seed=2"])


def test_an_assignment_inside_another_is_an_error() -> None:
    message = clash([], ["run={horizon_s: 90, warmup_s: 0}", "run.horizon_s=80"])
    assert "--set run.horizon_s=80: run.horizon_s: is also given by --set run={horizon_s: 90, warmup_s: 0}" in message


def test_a_mapping_of_another_kind_replaces_the_whole(tmp_path: Path) -> None:
    one = overlay(tmp_path, "one.yaml", "workload: {classes: [{name: secret, arrivals: {kind: poisson, rate_rps: 3}}]}")
    arrivals = load_scenario(SMALL, [one]).scenario.workload.classes[1].arrivals
    assert arrivals.model_dump() == {"kind": "poisson", "rate_rps": 3}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("run.seed", "must have the form path=value"),
        ("run..seed=1", "must have the form path=value"),
        ("[0].seed=1", "must have the form path=value"),
        ("workload.classes.chat.priority=1", "choose an item"),
        ("workload.classes[chta].priority=1", "did you mean 'chat'"),
        ("workload.classes[-1].priority=1", "unknown item '-1'"),
        ("run.seed[0]=1", "nothing can be set below it"),
    ],
)
def test_assignments_that_lead_nowhere_are_refused(assignment: str, words: str) -> None:
    assert words in clash([], [assignment])


def test_assignments_reach_named_items_keys_with_dots_and_whole_sections() -> None:
    sets = ["workload.classes[chat].slo.ttft_s.p99=2", "cost.overrides[power.pue]=1.3", "run={horizon_s: 90, seed: 3}"]
    loaded = load_scenario(SMALL, sets=sets)
    assert loaded.scenario.workload.classes[0].slo.ttft_s == {"p99": 2}
    assert loaded.scenario.cost.overrides == {"power.pue": 1.3}
    assert loaded.place("run.horizon_s")[0] == f"--set {sets[2]}"
    text = resolved_yaml(loaded)
    assert f"horizon_s: 90.0  # --set {sets[2]}" in text
    assert "replications: 1  # default" in text


WITH_EVENTS = """\
topologies: {spare: {pools: [{name: base, site: lambda, gpu: h200}]}}
study:
  months: 3
  events:
    - {name: a, from_month: 2, topology: own, change: {staff: {base_fte: 1}}}
    - {name: b, from_month: 2, topology: mixed, change: {staff: {base_fte: 1}}}
    - {name: c, from_month: 3, topology: own, change: {staff: {base_fte: 2}}}
    - {name: d, from_month: 3, topology: spare, change: {staff: {base_fte: -1}}}
"""


def test_a_topology_that_is_null_is_taken_away_with_its_events(tmp_path: Path) -> None:
    """By an assignment or an overlay; what comes after its events keeps its place in the file."""
    events = overlay(tmp_path, "events.yaml", WITH_EVENTS)
    assert f"{events}:8:76: study.events[3].change.staff.base_fte: must be" in clash([events], [])
    assert f"{events}:8:76: study.events[1].change.staff.base_fte: must be" in clash([events], ["topologies.own=null"])
    whole = load_scenario(SMALL, [overlay(tmp_path, "good.yaml", WITH_EVENTS.replace("-1}", "1}"))])
    left = whole.with_("topologies.own=null")
    assert "own" not in left.scenario.topologies
    assert [event.name for event in left.scenario.study.events] == ["b", "d"]
    assert [left.place(f"study.events[{k}]")[1] for k in range(2)] == [6, 8]
    alone = whole.only("spare")
    assert [event.name for event in alone.scenario.study.events] == ["d"]
    assert alone.place("study.events[0].change")[1] == 8
    by_overlay = load_scenario(SMALL, [overlay(tmp_path, "without.yaml", "topologies: {mixed: null}")])
    assert "mixed" not in by_overlay.scenario.topologies


LISTS = """\
topologies:
  own:
    pools:
      - {name: second, site: lambda, gpu: h200}
      - {name: third, site: lambda, gpu: h200, replicas: -1}
    fees:
      - {name: a, usd_once: 1}
      - {name: b, usd_once: 2}
"""


def test_a_list_item_that_is_null_is_taken_away(tmp_path: Path) -> None:
    """By its name or its number in the list as it was; what comes after it keeps its place in the file."""
    lists = overlay(tmp_path, "lists.yaml", LISTS)
    assert f"{lists}:5:58: topologies.own.pools[2].replicas: must be" in clash([lists], [])
    first = ["topologies.own.pools[base]=null"]
    assert f"{lists}:5:58: topologies.own.pools[1].replicas: must be" in clash([lists], first)
    both = ["topologies.own.pools[1]=null", "topologies.own.pools[third]=null"]
    whole = load_scenario(SMALL, [overlay(tmp_path, "good.yaml", LISTS.replace("-1", "2"))])
    left = whole.with_(*both, "topologies.own.fees[0]=null", "topologies.own.fees[b].usd_once=3")
    own = left.scenario.topologies["own"]
    assert [pool.name for pool in own.pools] == ["base"]
    assert [(fee.name, fee.usd_once) for fee in own.fees] == [("b", 3)]
    assert left.place("topologies.own.fees[0].name")[1] == 8
    (fee,) = resolved_data(left)["topologies"]["own"]["fees"]
    assert (fee["name"], fee["usd_once"]) == ("b", 3)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (["topologies.own.pools[bose]=null"], "topologies.own.pools: unknown item 'bose': did you mean 'base'?"),
        (
            ["topologies.own.providers[api]=null"],
            "topologies.own.providers: is not given: there is nothing to take away",
        ),
        (["topologies.mixed.pools[base]=null"], "routing"),
        (["topologies.own.pools[base]=null"], "topologies.own"),
        (["workload.classes[0]=null", "workload.classes[secret]=null"], "workload.classes: must have at least 1"),
        (
            ["topologies.own.pools[base]=null", "topologies.own.pools[base].replicas=2"],
            "is also given by --set topologies.own.pools[base]=null: keep one",
        ),
    ],
)
def test_what_a_list_cannot_do_without_is_said(sets: list[str], told: str) -> None:
    assert told in clash([], sets)


def test_what_cannot_be_taken_away_is_said(tmp_path: Path) -> None:
    names = list(load_scenario(SMALL).scenario.topologies)
    assert "topologies: must have at least one topology, none is left" in clash(
        [], [f"topologies.{n}=null" for n in names]
    )
    assert "unknown topology 'owm': did you mean 'own'?" in clash([], ["topologies.owm=null"])
    assert "unknown topology 'owm': did you mean 'own'?" in clash([], ["topologies.owm.pools[base].replicas=2"])
    both = clash([], ["topologies.own=null", "topologies.own.pools[base].replicas=2"])
    assert "is also given by --set topologies.own=null: keep one" in both
    other = overlay(tmp_path, "other.yaml", "topologies: {own: {staff: {base_fte: 1}}}")
    assert "topologies.own: is also given by" in clash([other], ["topologies.own=null"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_resolved_views_are_equal_every_time_and_load_to_the_same(path: Path) -> None:
    loaded = load_scenario(path)
    text = resolved_yaml(loaded)
    assert text == resolved_yaml(load_scenario(path))
    assert YAML(typ="safe").load(text) == resolved_data(loaded)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20))
def test_any_text_survives_the_resolved_view(text: str) -> None:
    loaded = load_scenario(SMALL, sets=[f"description={json.dumps(text, ensure_ascii=False)}"])
    assert loaded.scenario.description == text
    assert YAML(typ="safe").load(resolved_yaml(loaded))["description"] == text


KEYS = st.sampled_from("abc")
TREES = st.recursive(
    st.integers(0, 9), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=8
)
MAPPINGS = st.dictionaries(KEYS, TREES, min_size=1, max_size=3)


def merged(base: Any, over: Any) -> Any:
    """Deep merge, the obvious way."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base.get(key), value) for key, value in over.items()}
    return over


@settings(deadline=None)
@given(MAPPINGS, MAPPINGS)
def test_merging_is_the_obvious_deep_merge_with_an_origin_for_every_value(base: Any, over: Any) -> None:
    below, above = parse_document(str(base), "base"), parse_document(str(over), "over")
    merge_overlays(below, [above])
    assert below.data == merged(base, over)
    for path, value in leaves(below.data, ""):
        expected = "over" if value_at(over, path) is not None else "base"
        assert (value, below.origins[path].file) == (value_at(below.data, path), expected)


@settings(deadline=None)
@given(MAPPINGS, MAPPINGS)
def test_assigning_the_leaves_one_by_one_equals_the_overlay(base: Any, over: Any) -> None:
    laid, assigned = parse_document(str(base), "base"), parse_document(str(base), "base")
    claims = merge_overlays(assigned, [])
    merge_overlays(laid, [parse_document(str(over), "over")])
    sets = [f"{path}={value}" for path, value in leaves(over, "")]
    if any(isinstance(value_at(base, around), int) for path, _ in leaves(over, "") for around in above(path)):
        with pytest.raises(InputError, match="nothing can be set below it"):
            apply_sets(assigned, sets, claims)
    else:
        apply_sets(assigned, sets, claims)
        assert assigned.data == laid.data


def above(path: str) -> list[str]:
    keys = path.split(".")
    return [".".join(keys[:n]) for n in range(1, len(keys))]


def leaves(node: Any, path: str) -> list[tuple[str, int]]:
    if not isinstance(node, dict):
        return [(path, node)]
    return [leaf for key, value in node.items() for leaf in leaves(value, f"{path}.{key}" if path else key)]


def value_at(node: Any, path: str) -> Any:
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def test_overlays_that_are_no_mappings_are_all_told_before_anything_is_merged(tmp_path: Path) -> None:
    several = [overlay(tmp_path, "list.yaml", "[1]"), overlay(tmp_path, "word.yaml", "seed")]
    with pytest.raises(InputError) as caught:
        load_scenario(SMALL, several, ["run.seed=3"])
    assert [(problem.file, problem.message) for problem in caught.value.problems] == [
        (str(path), "must be a mapping of keys to values") for path in several
    ]
