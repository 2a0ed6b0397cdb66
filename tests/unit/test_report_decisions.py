"""What charts and tables of decisions rest on: the frontier, paired differences, the memo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.metrics.intervals import paired_difference, t_interval
from simulator.report.charts import Summaries, topology_colour
from simulator.report.cost_charts import items, spending
from simulator.report.inputs import input_unit, input_value
from simulator.report.memo import memo
from simulator.report.paired import FIGURES, differences_chart, differences_to, paired, same_requests, shown_as
from simulator.report.pareto import MEASURES, first_limited, frontier, pareto_chart, point, slo_limit_s, sweep_points
from simulator.report.table import baseline, comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.results.seal import MANIFEST, sealed
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("runs")).bundle)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_frontier_holds_exactly_what_nothing_beats(places: list[tuple[int, int]]) -> None:
    points = [{"usd_per_month": float(x), "ttft_p99_s": float(y), "slo_met": True} for x, y in places]
    kept = {(entry["usd_per_month"], entry["ttft_p99_s"]) for entry in frontier(points, "ttft_p99_s")}

    def beaten(x: float, y: float) -> bool:
        return any((a <= x and b <= y) and (a < x or b < y) for a, b in places)

    assert kept == {(float(x), float(y)) for x, y in places if not beaten(x, y)}


def test_a_point_without_the_measure_is_left_out() -> None:
    points = [{"usd_per_month": 1.0, "ttft_p99_s": None}, {"usd_per_month": 2.0, "ttft_p99_s": 1.0}]
    assert frontier(points, "ttft_p99_s") == points[1:]


def test_the_pareto_chart_names_its_units_and_can_be_clicked(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    points = [point("", name, found) for name, found in topologies.items()]
    for measure, (_, unit) in MEASURES.items():
        text = pareto_chart(points, measure, list(topologies), 1.0).to_json()
        assert f"[{unit}]" in text
        assert "$ per month" in text
        assert '"chosen"' in text


def test_paired_differences_are_those_of_the_replications(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    rows, headers = differences_to(topologies, "own")
    assert headers == ["", "cloud", "api"]
    money = [
        cloud["usd_per_month"] - own["usd_per_month"]
        for cloud, own in zip(topologies["cloud"]["replications"], topologies["own"]["replications"], strict=True)
    ]
    mean, half = t_interval(money)
    cloud_usd, own_usd = (round(topologies[name]["cost"]["usd_per_month"]) for name in ("cloud", "own"))
    assert abs(cloud_usd - own_usd - mean) <= 1
    assert rows[0][1] == f"{cloud_usd - own_usd:+,.0f} ± {half:,.0f}", "as who subtracts the bills above finds it"


def test_differences_in_words_and_pictures_are_the_same(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    found = paired(topologies, "own")
    assert {entry.figure for entry in found} == {*FIGURES}
    drawn = spec(differences_chart(found, "own", list(topologies)))
    for entry in found:
        mean, half = paired_difference(*(values(topologies, name, entry.figure) for name in (entry.topology, "own")))
        _, factor, _ = shown_as(entry.figure)
        assert (entry.mean, entry.half_width) == pytest.approx((factor * mean, factor * half))
        assert entry.is_sure == (abs(mean) > half)
    rows = {
        (row["topology"], row["figure"]): row for data in drawn["datasets"].values() for row in data if "sure" in row
    }
    (money,) = [entry for entry in found if entry.figure == "usd_per_month" and entry.topology == "cloud"]
    assert rows["cloud", "$ per month"]["share"] == pytest.approx(money.mean / money.base)
    assert "[% of its figure]" in str(drawn)


def test_the_line_of_no_difference_stands_at_none(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    drawn = spec(differences_chart(paired(topologies, "own"), "own", list(topologies)))
    line = drawn["layer"][0]
    assert line["mark"]["type"] == "rule"
    assert [row[line["encoding"]["x"]["field"]] for row in drawn["datasets"][line["data"]["name"]]] == [0.0]


def test_what_may_be_chance_is_hollow_and_as_easy_to_see(bundle: Bundle) -> None:
    """At two fifths of its colour green is hardly to be told from a dark page: the contrast is below 2."""
    topologies = ordered(bundle.summary)
    drawn = spec(differences_chart(paired(topologies, "own"), "own", list(topologies)))
    spans, points = drawn["layer"][1:]
    for layer in (spans, points):
        assert "opacity" not in layer["encoding"]
    assert points["mark"]["opacity"] == 1
    hollow = points["encoding"]["fillOpacity"]
    assert (hollow["condition"]["test"], hollow["condition"]["value"], hollow["value"]) == (
        "datum.sure === 'yes'",
        1,
        0,
    )
    assert points["encoding"]["stroke"]["scale"] == points["encoding"]["color"]["scale"]


def values(topologies: Summaries, name: str, figure: str) -> list[float]:
    return [entry[figure] for entry in topologies[name]["replications"]]


def spec(chart: Any) -> dict[str, Any]:
    found: dict[str, Any] = chart.to_dict()
    return found


def test_only_the_same_requests_are_paired(bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle.path, other)
    assert same_requests([bundle, read_bundle(other)])
    text = (other / "scenario.resolved.yaml").read_text(encoding="utf-8")
    for old, new in (("rate_rps: 4.0", "rate_rps: 5.0"), ("seed: 3", "seed: 4"), ("horizon_s: 120", "horizon_s: 121")):
        assert text.count(old) == 1
        (other / "scenario.resolved.yaml").write_text(text.replace(old, new), encoding="utf-8")
        (other / MANIFEST).write_text(json.dumps(sealed(bundle.manifest, other)), encoding="utf-8")
        assert not same_requests([bundle, read_bundle(other)])


def test_spending_ends_at_what_was_paid_and_at_the_present_value(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    for discounted in (False, True):
        last = spending(topologies, discounted).groupby("topology")["spent_usd"].last()
        for name, found in topologies.items():
            cost = found["cost"]
            whole = -cost["npv_usd"] if discounted else -sum(cost["cash_flow_usd"])
            assert last[name] == pytest.approx(whole, rel=1e-9)


def test_points_of_a_sweep_carry_its_values() -> None:
    row = {"a.b": 2.0, "topology": "own", "usd_per_month": 5.0, "slo_met": True, "slo_attainment": 0.75, "status": "ok"}
    row |= {name: float("nan") for name in MEASURES if name.endswith("_s")} | {"ttft_p99_s": 1.5}
    failed = {**row, "status": "failed", "topology": None}
    (found,) = sweep_points("swept", pd.DataFrame([row, failed]), ["a.b"])
    assert (found["point"], found["topology"]) == ("swept/own: b=2", "own")
    assert (found["ttft_p99_s"], found["tpot_p99_s"], found["missed_share"]) == (1.5, None, 0.25)
    assert frontier([found], "tpot_p99_s") == []


def test_the_slo_s_strictest_limit_is_the_line() -> None:
    def cls(name: str, **slo: dict[str, float]) -> dict[str, Any]:
        return {"name": name, "slo": slo}

    classes = [cls("a", ttft_s={"p99": 2.0}), cls("b", ttft_s={"p99": 1.0, "p95": 0.5}), cls("c", ttft_s={"p99": 1.0})]
    scenario = {"workload": {"classes": classes}}
    assert slo_limit_s(scenario, "ttft_p99_s") == (1.0, ("b", "c"))
    assert slo_limit_s(scenario, "ttft_p95_s") == (0.5, ("b",))
    assert slo_limit_s(scenario, "tpot_p99_s") is None
    assert slo_limit_s(scenario, "missed_share") is None


def test_topologies_keep_their_colour_and_others_get_new_ones(bundle: Bundle) -> None:
    names = [f"t{k}" for k in range(9)]
    first, more = (spec_of(topology_colour(part)) for part in (names[:3], names))
    assert more["range"][:3] == first["range"]
    assert len(set(more["range"][:8])) == 8
    assert "#000000" not in more["range"], "black cannot be seen on a dark page"
    points = [point("", "own", ordered(bundle.summary)["own"]), point("x", "new", ordered(bundle.summary)["own"])]
    text = pareto_chart(points, "ttft_p99_s", ["own"]).to_json()
    assert "new" in json.loads(text)["layer"][1]["encoding"]["color"]["scale"]["domain"]


def spec_of(colour: Any) -> dict[str, Any]:
    scale: dict[str, Any] = colour.to_dict()["scale"]
    return scale


def test_inputs_are_told_with_their_units(bundle: Bundle) -> None:
    for found in bundle.summary["topologies"].values():
        for swing in found["tornado"]:
            assert input_unit(swing["input"]), swing["input"]
    assert (input_value(250_000.0), input_value(0.59245)) == ("250,000", "0.5925")
    assert [input_value(value) for value in (9_999.4, 9_999.6, 10_000.0, -10_000.0)] == [
        "9999",
        "10,000",
        "10,000",
        "-10,000",
    ]


def test_the_memo_says_what_the_table_says_and_is_always_the_same(bundle: Bundle) -> None:
    text = memo(bundle)
    rows, _ = comparison(ordered(bundle.summary))
    assert bundle.summary["verdict"] in text
    assert all(cell in text for row in rows for cell in row)
    assert bundle.manifest["scenario_sha256"] in text
    assert memo(read_bundle(bundle.path)) == text
    rows, _ = differences_to(ordered(bundle.summary), baseline(ordered(bundle.summary)))
    assert all(cell in text for row in rows for cell in row)
    assert "for what is idle, spare, unused, starting or down" in text


def test_line_items_are_all_there_and_unused_ones_are_known(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    data = items(bundle.table("costs"), topologies, "month")
    for name, found in topologies.items():
        assert data.loc[data["topology"] == name, "usd"].sum() == pytest.approx(found["cost"]["usd_per_month"])
    idle = data[(data["topology"] == "own") & data["is_unused"]]
    assert set(idle["part"]) >= {"idle"}
    assert np.isfinite(idle["usd"]).all()


@pytest.mark.parametrize(
    ("terms", "measure"),
    [
        ({"ttft_s": {"p95": 2.0}, "tpot_s": {"p95": 0.05}}, "ttft_p95_s"),
        ({"ttft_s": {"p95": 2.0}, "tpot_s": {"p99": 0.05}}, "tpot_p99_s"),
        ({"e2e_s": {"p90": 5.0}}, "ttft_p99_s"),
    ],
)
def test_cost_is_set_against_what_the_slo_limits(terms: dict[str, dict[str, float]], measure: str) -> None:
    """What questions make limits p95 alone; against p99 no limit could be drawn."""
    assert first_limited({"workload": {"classes": [{"name": "chat", "slo": terms}]}}) == measure
