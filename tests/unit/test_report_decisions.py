"""What charts and tables of decisions rest on: the frontier, paired differences, the memo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.metrics.intervals import t_interval
from simulator.report.cost_charts import items
from simulator.report.memo import memo
from simulator.report.paired import differences_to
from simulator.report.pareto import MEASURES, frontier, pareto_chart, point
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
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
    assert headers == ["", "cloud - own", "api - own"]
    money = [
        cloud["usd_per_month"] - own["usd_per_month"]
        for cloud, own in zip(topologies["cloud"]["replications"], topologies["own"]["replications"], strict=True)
    ]
    mean, half = t_interval(money)
    assert rows[0][1] == f"{mean:+,.0f} ± {half:,.0f}"


def test_the_memo_says_what_the_table_says_and_is_always_the_same(bundle: Bundle) -> None:
    text = memo(bundle)
    rows, _ = comparison(ordered(bundle.summary))
    assert bundle.summary["verdict"] in text
    assert all(cell in text for row in rows for cell in row)
    assert bundle.manifest["scenario_sha256"] in text
    assert memo(read_bundle(bundle.path)) == text


def test_line_items_are_all_there_and_unused_ones_are_known(bundle: Bundle) -> None:
    topologies = ordered(bundle.summary)
    data = items(bundle.table("costs"), topologies, "month")
    for name, found in topologies.items():
        assert data.loc[data["topology"] == name, "usd"].sum() == pytest.approx(found["cost"]["usd_per_month"])
    idle = data[(data["topology"] == "own") & data["is_unused"]]
    assert set(idle["name"]) >= {"idle"}
    assert np.isfinite(idle["usd"]).all()
