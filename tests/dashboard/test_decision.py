"""A decision over months, searched and explored, as the views show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.comparison import slo_badge
from dashboard.components.decision import size_words, trail_rows
from dashboard.settings import Settings
from simulator.errors import InputError
from simulator.figures.table import lasts_words
from simulator.report.charts import cost_against_attainment
from simulator.report.decision import capacity_notes, month_rows, pair_rows, used_words
from simulator.report.decision_charts import volumes_chart
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
DOWN = "the token API together, Llama 3.3 70B (Together AI), is down"
SETS = [
    "run.horizon_s=40",
    "run.warmup_s=2",
    "run.replications=1",
    "cost.draws=0",
    "study.months=4",
    "study.growth_per_year=40",
    "topologies.cloud.pools[rented].replicas=auto",
]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("grown")
    return read_bundle(simulate(load_scenario(SCENARIO, sets=SETS), folder, explore_s=2.0).bundle)


@pytest.mark.exhaustive
def test_months_sizes_and_trail_are_those_of_the_bundle(
    grown: Bundle, open_view: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(grown.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((folder,), folder))
    app = open_view("overview", run=grown.path.name)
    assert not app.exception
    topologies = ordered(grown.summary)
    frames = [entry.value for entry in app.dataframe]
    (months,) = [shown for shown in frames if "$ per month, first" in shown]
    assert months.to_numpy().tolist() == month_rows(grown.decision, list(topologies))
    (sizes,) = [shown for shown in frames if "size is" in shown]
    assert dict(zip(sizes["topology"], sizes["size is"], strict=True)) == {
        name: found["trail"]["word"] for name, found in grown.decision["topologies"].items()
    }
    (trail,) = [shown for shown in frames if "outcome" in shown]
    assert len(trail) == len(topologies["cloud"]["search"]["trail"]) > 0
    assert set(trail["topology"]) == {"cloud"}


def test_what_if_of_any_growth_and_length_that_cannot_be_simulated_can_be_run_in_full(
    grown: Bundle, open_view: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("run it in full")

    folder = str(grown.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((folder,), folder))
    monkeypatch.setattr("dashboard.components.answer.preview", refuse)
    app = open_view(
        "what_if",
        run=grown.path.name,
        **{"what_if.fault": DOWN},
    )
    assert [error.value for error in app.error] == ["run it in full"]
    assert app.number_input(key="what_if.growth").value == 4000
    assert app.number_input(key="what_if.for").value == pytest.approx(4 / 60)
    assert app.button(key="what_if.run").label == "Run in full"


@pytest.mark.parametrize(
    ("met", "lasts_until", "cell", "badge", "mark"),
    [
        (True, None, "yes", "SLO met]", "yes"),
        (True, 2, "until month 2", "SLO met until month 2]", "no"),
        (True, 0, "no", "SLO missed]", "no"),
        (False, 0, "no", "SLO missed]", "no"),
        (None, None, "not known", "SLO not known]", "not known"),
    ],
)
def test_whether_the_slo_is_met_is_the_same_in_table_badge_and_chart(
    grown: Bundle, met: bool | None, lasts_until: int | None, cell: str, badge: str, mark: str
) -> None:
    found = grown.summary["topologies"]["cloud"]
    summary = found | {"metrics": found["metrics"] | {"slo_met": met}, "lasts_until": lasts_until}
    rows, _ = comparison({"cloud": summary})
    assert rows[0] == ["SLO met", cell]
    assert slo_badge(summary).endswith(badge)
    assert cost_against_attainment({"cloud": summary}).data["SLO met"].tolist() == [mark]


@pytest.mark.parametrize(
    ("usd", "ends"),
    [((1_936.0, 40_194.0), (0.0, 44_019.8)), ((900.0, 1_000.0), (890.0, 1_010.0)), ((0.0,), (0.0, 1.0))],
)
def test_an_axis_of_costs_leaves_room_and_never_begins_below_zero(
    grown: Bundle, usd: tuple[float, ...], ends: tuple[float, float]
) -> None:
    summary = grown.summary["topologies"]["cloud"]
    topologies = {f"t{k}": summary | {"cost": summary["cost"] | {"usd_per_month": one}} for k, one in enumerate(usd)}
    scale = cost_against_attainment(topologies).to_dict()["encoding"]["x"]["scale"]
    assert scale["domain"] == pytest.approx(list(ends))


def test_sizes_that_grow_are_told_by_their_first_and_last_month() -> None:
    found = {"months": [{"replicas": [1, 2]}, {"replicas": [3, 2]}]}
    summary = {"pools": [{"name": "a"}, {"name": "b"}], "search": {"sizes": {"a": "1", "b": "2"}, "trail": []}}
    assert size_words(found, summary, list) == "a 1 to 3, b 2"
    assert size_words({"months": found["months"][:1]}, summary, list) == "a 1, b 2"
    assert size_words({"months": [{"replicas": []}]}, {"pools": []}, list) == "-"
    none_at_first = {"months": [{"replicas": [2, 0]}, {"replicas": [2, 5]}]}
    assert size_words(none_at_first, {"pools": [{"name": "a"}]}, lambda: ["a", "b"]) == "a 2, b 0 to 5"
    added = {"months": [{"replicas": [2]}, {"replicas": [2, 5]}]}
    assert size_words(added, {"pools": [{"name": "a"}]}, lambda: ["a"]) == "2 to 2 + 5"
    assert trail_rows({"one": summary, "two": {}}) == []


def test_costs_by_load_are_the_points_that_were_tried() -> None:
    tried = [[0.5, 10.0, 7.0], [2.0, None, 9.0]]
    pair = {"rival": "b", "volume": {"side": "always", "factor": None, "tried": tried}}
    decision = {"topologies": {"a": {"break_even": [pair]}, "b": {"break_even": [{"rival": "a", "volume": None}]}}}
    data = volumes_chart(decision, ["a", "b"], ["a", "b"]).data
    assert data[["topology", "load", "usd"]].to_numpy().tolist() == [["a", 0.5, 10.0], ["b", 0.5, 7.0], ["b", 2.0, 9.0]]
    assert set(volumes_chart(decision, ["a", "b"], ["a"]).data["topology"]) == {"a"}
    assert volumes_chart(decision, ["a", "b"], ["b"]) is None


@pytest.mark.parametrize(("month", "of"), [(0, ""), (3, " of month 3")])
def test_a_side_without_a_crossing_is_told_for_the_loads_that_were_tried(month: int, of: str) -> None:
    """An API at 0.0006 of a flat fee's load is cheaper there and at sixteen times as much, not at any load."""
    times = dict.fromkeys(("months", "months_discounted", "hours_per_day", "hours_below"))
    tried = [[0.0625, 34.0, 29_200.0], [1.0, 550.0, 29_200.0], [16.0, 8_800.0, 29_200.0]]
    volume = {"side": "always", "factor": None, "tried": tried, "tokens_per_month": None, "month": month}
    months = [{"meets": True}]
    decision = {"topologies": {"a": {"break_even": [{"rival": "b", "volume": volume} | times], "months": months}}}
    decision["topologies"]["b"] = {"break_even": [], "months": months}
    assert pair_rows(decision, ["a", "b"])[0][-1] == f"always, × 0.0625 to 16{of}"


@pytest.mark.parametrize(("month", "where", "of"), [(0, "", ""), (1, " in month 1", " of month 1")])
def test_capacity_and_volume_name_their_month_where_months_differ(month: int, where: str, of: str) -> None:
    used = {"factor": 2.0, "fails_at": 4.0, "used_share_low": 0.25, "used_share_high": 0.5, "month": month}
    volume = {"side": "above", "factor": 1.5, "tried": [[1.0, 2.0, 1.0]], "tokens_per_month": None, "month": month}
    pair = {
        "rival": "b",
        "months": None,
        "months_discounted": None,
        "hours_per_day": None,
        "hours_below": None,
        "volume": volume,
    }
    months = [{"meets": True}]
    decision = {"topologies": {"a": {"break_even": [pair], "months": months, "capacity": used}}}
    decision["topologies"]["b"] = {"break_even": [], "months": months, "capacity": None}
    assert used_words(used) == f"25% to 50%{where}"
    assert pair_rows(decision, ["a", "b"])[0][-1] == f"above × 1.5{of}"
    its = "the capacity that it has in month 1" if month else "its capacity"
    said = f"a carries between 2.00 and 4.00 times the load{of} within the SLO: 25% to 50% of {its} is used."
    assert capacity_notes(decision, ["a", "b"]) == [said]
    used["missed"] = "chat: ttft p99 ≤ 1 s is missed by 9 requests, 4 are allowed"
    said = said.replace(" the SLO:", f" the SLO (at 4 times {used['missed']}):")
    assert capacity_notes(decision, ["a", "b"]) == [said]
    title = volumes_chart(decision, ["a", "b"], ["a", "b"]).to_dict()["encoding"]["x"]["title"]
    assert (
        title == f"load, as a multiple of {'that of month 1' if month else 'the run'}{'' if month else chr(39) + 's'}"
    )


def test_a_fleet_that_misses_at_every_load_tried_has_no_share_of_a_capacity() -> None:
    none = {"factor": 0.0, "fails_at": 0.25, "used_share_low": 4.0, "used_share_high": None, "month": 0}
    assert used_words(none) == "missed at 0.25 × load too"
    said = "a misses the SLO at 0.25 times the load, too: what it carries within it was not found."
    assert capacity_notes({"topologies": {"a": {"capacity": none}}}, ["a"]) == [said]


def test_a_fleet_that_misses_from_the_first_month_lasts_until_no_month() -> None:
    assert [lasts_words(month) for month in (None, 7, 0)] == ["the end", "month 7", "fails in month 1"]
