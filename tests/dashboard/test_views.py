"""Every view on a real run: no error, and what it says is what the run says."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.loading import resolved
from dashboard.pages import PAGES
from dashboard.preview_worker import warm_up
from dashboard.previews import PREVIEW_REQUESTS
from dashboard.workspace import shipped
from simulator.figures.table import figure
from simulator.report.paired import differences_to
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle
from simulator.run.excerpt import excerpt_of
from simulator.run.steps import first_busy_s
from simulator.scenario.load import load_scenario

Open = Callable[..., AppTest]


def frame(app: AppTest, column: str, last: bool = False) -> pd.DataFrame:
    """The first, or last, table with a column of that name: tables that cannot be clicked have no key in AppTest."""
    found: list[pd.DataFrame] = [entry.value for entry in app.dataframe if column in entry.value.columns]
    return found[-1] if last else found[0]


@pytest.mark.parametrize("view", [entry.view for entry in PAGES])
def test_every_view_opens_without_an_error(open_view: Open, view: str) -> None:
    app = open_view(view)
    assert not app.exception
    assert [error.value for error in app.error] == []
    assert app.title


def test_the_overview_shows_the_run_s_own_table_and_verdict(open_view: Open, bundle: Bundle) -> None:
    app = open_view("overview")
    rows, headers = comparison(ordered(bundle.summary))
    assert frame(app, "figure").to_numpy().tolist() == rows
    assert list(frame(app, "figure").columns)[1:] == headers[1:]
    assert app.info[0].value.replace("\\$", "$").replace("**", "") == bundle.decision["verdict"]
    sizes = frame(app, "lasts until").set_index("topology")
    assert sizes.loc[["own", "cloud", "api"], "size"].tolist() == ["base 1", "rented 1", "-"]
    assert set(sizes["size is"]) == {"fixed"}


def test_hiding_a_topology_hides_it_everywhere_and_keeps_the_others(open_view: Open) -> None:
    app = open_view("overview")
    app.multiselect[0].set_value(["own", "api"]).run()
    assert list(frame(app, "figure").columns)[1:] == ["own", "api"]


def test_compare_shows_differences_to_the_baseline_that_is_chosen(open_view: Open, bundle: Bundle) -> None:
    app = open_view("compare")
    next(box for box in app.selectbox if box.label == "Baseline").set_value("cloud").run()
    rows, _ = differences_to(ordered(bundle.summary), "cloud")
    assert frame(app, "figure").to_numpy().tolist() == rows
    app.selectbox(key="compare.other").set_value(app.selectbox(key="compare.other").options[0]).run()
    shown = frame(app, "what", last=True)
    assert "class chat: arrivals: rate [requests/s]" in shown["what"].tolist()


@pytest.mark.parametrize("basis", ["month", "million", "horizon"])
def test_cost_adds_up_on_every_basis(open_view: Open, bundle: Bundle, basis: str) -> None:
    app = open_view("cost")
    app.segmented_control(key="cost.basis").set_value(basis).run()
    shown = frame(app, "usd").groupby("topology")["usd"].sum()
    for name, found in bundle.summary["topologies"].items():
        cost = found["cost"]
        whole = {
            "month": cost["usd_per_month"],
            "million": cost["usd_per_million_tokens"],
            "horizon": cost["usd_per_month"] * (len(cost["cash_flow_usd"]) - 1),
        }
        assert shown[name] == pytest.approx(whole[basis])


def test_latency_has_the_terms_of_the_slo(open_view: Open, bundle: Bundle) -> None:
    app = open_view("latency")
    terms = frame(app, "term")
    assert len(terms) == sum(len(found["metrics"]["slo_terms"]) for found in bundle.summary["topologies"].values())


def test_curves_are_of_the_class_that_is_chosen_with_its_own_limits(
    open_view: Open, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = import_module("dashboard.views.latency")
    seen: list[tuple[set[str], set[str], str, list[tuple[float, float]]]] = []
    plain = place.distribution

    def distribution(data: Any, metric: str, names: Any, limits: list[tuple[float, float]]) -> Any:
        seen.append((set(data["class"]), set(data["topology"]), metric, limits))
        return plain(data, metric, names, limits)

    monkeypatch.setattr(place, "distribution", distribution)
    app = open_view("latency")
    for cls in resolved(bundle).scenario.workload.classes:
        seen.clear()
        app.selectbox(key="latency.class").set_value(cls.name).run()
        assert seen
        assert all(classes == {cls.name} for classes, *_ in seen), cls.name
        assert all(topologies <= set(bundle.summary["topologies"]) for _, topologies, *_ in seen)
        for *_, metric, limits in seen:
            given = getattr(cls.slo, metric, {})
            assert limits == [(int(share[1:]) / 100, limit_s) for share, limit_s in given.items()]


def test_the_engine_view_serves_the_replica_again_without_a_deviation(open_view: Open) -> None:
    app = open_view("engine")
    app.number_input(key="engine.start").set_value(20.0).run()
    assert [warning.value for warning in app.warning] == []
    assert int(app.metric[0].value.replace(",", "")) > 10


def test_the_engine_view_opens_where_a_replica_computes(open_view: Open, bundle: Bundle) -> None:
    rows = bundle.table("requests")
    own = rows[(rows["topology"] == "own") & (rows["replication"] == 0) & (rows["finish_s"] > 10.0)]
    first_s = max(own["scheduled_s"].min(), 10.0)
    app = open_view("engine")
    start = app.number_input(key="engine.start")
    assert 10.0 <= start.value <= first_s < start.value + 0.1
    assert int(app.metric[0].value.replace(",", "")) > 10
    start.set_value(50.0).run()
    assert app.number_input(key="engine.start").value == 50.0
    app.selectbox(key="engine.topology").set_value("cloud").run()
    assert app.number_input(key="engine.start").value < 12.0
    assert not app.warning
    assert open_view("engine", **{"engine.start": "30.0"}).number_input(key="engine.start").value == 30.0
    one = str(app.multiselect(key="engine.requests").options[-1])
    linked = open_view("engine", **{"engine.topology": "cloud", "engine.requests": one})
    assert [str(number) for number in linked.multiselect(key="engine.requests").value] == [one]


@pytest.mark.parametrize(
    ("from_s", "expected_s"),
    [(0.0, 5.0), (6.0, 6.0), (9.0, 20.0), (25.0, 25.0), (30.0, 5.0)],
    ids=["its first", "within one", "between two", "within the last", "none follows"],
)
def test_the_first_busy_time_of_a_replica(
    from_s: float, expected_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests from 5 to 9 and from 20 to 28 s; one that was lost, and others elsewhere, at 1 s."""
    times = [(5.0, 9.0, "own", 0, 0), (20.0, 28.0, "own", 0, 0), (1.0, math.nan, "own", 0, 0)]
    times += [(1.0, 50.0, "cloud", 0, 0), (1.0, 50.0, "own", 1, 0), (1.0, 50.0, "own", 0, 1)]
    frame = pd.DataFrame(times, columns=["scheduled_s", "finish_s", "topology", "replication", "replica"])
    frame.assign(target="base", arrival_s=frame["scheduled_s"]).to_parquet(tmp_path / "requests.parquet")
    monkeypatch.setattr(Bundle, "file", lambda self, name: self.path / name)
    bundle = Bundle(tmp_path, {}, {})
    assert first_busy_s(bundle, "own", "base", 0, from_s) == expected_s
    assert first_busy_s(bundle, "own", "base", 7, from_s) == 0.0
    monkeypatch.setattr("simulator.run.steps.MAX_REQUESTS", 2)
    assert first_busy_s(bundle, "own", "base", 0, from_s) == 5.0


def test_what_if_changes_only_what_its_slider_says(open_view: Open, bundle: Bundle) -> None:
    app = open_view("what_if")
    assert [error.value for error in app.error] == []
    assert app.info[0].value.replace("\\$", "$").replace("**", "") == bundle.decision["verdict"]
    assert not app.metric, "nothing is changed, so nothing is simulated"
    app.slider(key="what_if.server.drag").set_value(2.0).run()
    assert [error.value for error in app.error] == []
    dear = frame(app, "paid for").set_index(["topology", "paid for"])["difference"]
    assert set(dear[dear != "0"].index.get_level_values(0)) == {"own"}
    assert dear.loc[("own", "hardware")] != "0"
    own = figure("usd_per_month").text(bundle.summary["topologies"]["cloud"]["cost"]["usd_per_month"])
    assert own in [metric.value for metric in app.metric]


def test_what_is_dragged_and_what_is_typed_are_one_value_and_can_be_taken_back(open_view: Open) -> None:
    app = open_view("what_if")

    def both(name: str) -> tuple[object, object]:
        return app.number_input(key=f"what_if.{name}").value, app.slider(key=f"what_if.{name}.drag").value

    assert both("electricity") == (0.12, 0.12), "what the data centre of the scenario pays"
    app.number_input(key="what_if.server").set_value(17.25).run()
    assert both("server") == (17.25, 3.0), "a slider ends before what may be typed"
    app.slider(key="what_if.electricity.drag").set_value(0.3).run()
    assert both("electricity") == (0.3, 0.3)
    changed = next(caption.value for caption in app.caption if "Changed:" in caption.value)
    assert "`cost.electricity_usd_per_kwh=0.3`" in changed
    assert [error.value for error in app.error] == []
    app.button(key="what_if.undo").click().run()
    assert both("electricity") == (0.12, 0.12)
    assert both("server") == (17.25, 3.0)
    app.button(key="what_if.undo").click().run()
    assert both("server") == (1.0, 1.0)
    assert app.button(key="what_if.undo").disabled
    app.number_input(key="what_if.rent").set_value(2.0).run()
    app.button(key="what_if.reset").click().run()
    assert both("rent") == (1.0, 1.0)
    assert any("nothing yet" in caption.value for caption in app.caption)


def test_a_server_that_fails_for_a_while_is_seen_in_what_users_wait(open_view: Open, bundle: Bundle) -> None:
    fault = {"what_if.fault": "one server at Lambda fails", "what_if.from": "0.5", "what_if.for": "0.4"}
    app = open_view("what_if", **fault)
    assert [error.value for error in app.error] == []
    assert any('server_failures=[{"start_s": 30.0, "duration_s": 24.0}]' in caption.value for caption in app.caption)
    (chart,) = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    spec = json.loads(chart.proto.spec)
    titles = [row["title"]["text"] for row in spec["vconcat"]]
    assert titles[0].startswith("time to first token, p95")
    assert titles[1] == "requests waiting"


def test_a_token_api_that_answers_429_for_a_while_costs_its_users_answers(open_view: Open) -> None:
    """Of the calls of half a minute, all are refused, with one repetition within a second: none comes through."""
    fault = "the token API together, Llama 3.3 70B (Together AI), answers 429 for a while"
    app = open_view("what_if", **{"what_if.fault": fault, "what_if.from": "0.5", "what_if.share": "100"})
    assert [error.value for error in app.error] == []
    assert any('"duration_s": 12.0, "share": 1.0}]' in caption.value for caption in app.caption)
    attainment = [metric for metric in app.metric if metric.label == "SLO attainment"]
    assert [metric.delta == "" for metric in attainment] == [True, True, False], "of own, cloud and api the api alone"
    app.number_input(key="what_if.share").set_value(20).run()
    assert any('"share": 0.2}]' in caption.value for caption in app.caption)


def test_an_outage_comes_in_the_busiest_time_unless_it_is_moved(open_view: Open, bundle: Bundle) -> None:
    app = open_view("what_if", **{"what_if.fault": "the token API together, Llama 3.3 70B (Together AI), is down"})
    assert [error.value for error in app.error] == []
    assert app.number_input(key="what_if.for").value == pytest.approx(0.2)
    peak_s = excerpt_of(load_scenario(bundle.scenario_file), PREVIEW_REQUESTS).peak_s
    assert app.number_input(key="what_if.from").value == pytest.approx(max(peak_s / 60 - 0.1, 0))
    app.number_input(key="what_if.from").set_value(0.5).run()
    assert [error.value for error in app.error] == []
    assert any('"start_s": 30.0, "duration_s": 12.0' in caption.value for caption in app.caption)
    attainment = [metric for metric in app.metric if metric.label == "SLO attainment"]
    assert [metric.delta == "" for metric in attainment] == [True, True, False], "of own, cloud and api the api alone"


def test_what_if_demand_is_served_on_both_sides(open_view: Open, bundle: Bundle) -> None:
    app = open_view("what_if", **{"what_if.demand": "2.0"})
    assert [error.value for error in app.error] == []
    both = frame(app, "figure").set_index("figure")
    rows, headers = comparison(ordered(bundle.summary))
    for name, column in zip(headers[1:], zip(*(row[1:] for row in rows), strict=True), strict=True):
        plain = dict(zip([row[0] for row in rows], column, strict=True))
        for label in ("SLO met", "SLO attainment", "TTFT p99 [ms]", "output [tokens/s]"):
            assert both.loc[label, f"{name} as it is"] == plain[label]
    assert float(both.loc["output [tokens/s]", "own changed"].replace(",", "")) == pytest.approx(
        2 * float(both.loc["output [tokens/s]", "own as it is"].replace(",", "")), rel=0.2
    )


def test_a_process_for_what_if_warms_up_with_a_run() -> None:
    assert set(warm_up()) == set(load_scenario(shipped() / "quickstart.yaml").scenario.topologies)


def test_answers_become_the_scenario_in_the_editor(open_view: Open) -> None:
    app = open_view("start")
    app.number_input(key="start.users").set_value(120).run()
    app.selectbox(key="start.busy").set_value("always").run()
    assert [error.value for error in app.error] == []
    text = app.code[0].value
    assert "NVIDIA H200 SXM 141 GB" in app.selectbox(key="start.gpu").options
    assert "Lambda" in app.selectbox(key="start.site").options
    assert "Qwen3 32B (Qwen/Qwen3-32B)" in app.selectbox(key="start.model").options
    assert "GPT-4o mini (OpenAI)" in app.selectbox(key="start.offer").options
    assert app.selectbox(key="start.quantization").value == "auto"
    assert app.selectbox(key="start.currency").options[0] == "USD", "what amounts are in unless told"
    assert max(map(len, app.selectbox(key="start.data_class").options)) < 34, "as a field shows at 1280 px"
    for field in ("model", "offer", "gpu", "site"):
        options = app.selectbox(key=f"start.{field}").options
        assert len(options) == len({*options}), "no two are called alike"
    assert "rate_rps: 0.2}" in text
    assert "periods" not in text
    app.number_input(key="start.isl").set_value(0).run()
    assert "must be above 0" in app.error[0].value
    assert not app.button


def test_hours_of_ones_own_and_a_name_are_answers(open_view: Open) -> None:
    app = open_view("start")
    app.selectbox(key="start.busy").set_value("own_hours").run()
    app.button(key="start.hours.more").click().run()
    for name, value in (("from", 9.5), ("to", 13.0), ("load", 40.0)):
        app.number_input(key=f"start.hours.1.{name}").set_value(value).run()
    app.text_input(key="start.name").set_value("our support, EU").run()
    assert [error.value for error in app.error] == []
    text = app.code[0].value
    assert 'name: "our-support-EU"' in text
    assert "{name: hours_2, days: sat, hours: 9:30-13, load: 0.4}" in text
    assert "{name: others, start: sat 13:00, load: 0.1}" in text
    answered = str(app.query_params["answers"])
    app.selectbox(key="start.hours.0.days").set_value("mon-sun").run()
    assert "mon-sun 8-18 and sat 9:30-13 overlap" in app.error[0].value.replace("\\", "")
    again = open_view("start", answers=answered)
    assert again.code[0].value == text
    assert again.number_input(key="start.hours.1.to").value == 13.0


def test_a_broken_scenario_is_told_at_its_line_and_cannot_be_run(open_view: Open) -> None:
    app = open_view("scenario")
    text = app.text_area(key="scenario.text").value
    app.text_area(key="scenario.text").set_value(
        text.replace("tensor_parallel_size: 4", "tensor_parallel_size: -4", 1)
    ).run()
    assert any("line" in error.value and "tensor_parallel_size" in error.value for error in app.error)
    assert app.button(key="scenario.run").disabled


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../etc/passwd", "traffic/../../../secret.json"])
def test_a_scenario_cannot_name_files_outside_its_folder(open_view: Open, name: str) -> None:
    app = open_view("scenario")
    text = app.text_area(key="scenario.text").value
    app.text_area(key="scenario.text").set_value(text.replace("traffic/azure-llm-2023-conv.json", name)).run()
    assert any("upload it" in error.value for error in app.error)
    assert app.button(key="scenario.run").disabled


def test_a_run_without_its_tables_is_told_in_words(open_view: Open, runs: Path) -> None:
    (found,) = runs.glob("small-*")
    bare = runs / "bare"
    shutil.copytree(found, bare)
    (bare / "latency.parquet").unlink()
    (bare / "requests.parquet").unlink()
    try:
        assert any("run its scenario again" in error.value for error in open_view("latency", run="bare").error)
        assert any("keep_requests" in error.value for error in open_view("engine", run="bare").error)
        (bare / "summary.json").write_text("{", encoding="utf-8")
        broken = bare.rename(runs / "broken")
        assert any("broken" in error.value for error in open_view("overview", run=broken.name).error)
    finally:
        shutil.rmtree(bare, ignore_errors=True)
        shutil.rmtree(runs / "broken", ignore_errors=True)


def test_sizing_tells_what_binds_and_what_flips(open_view: Open, bundle: Bundle) -> None:
    app = open_view("sizing")
    said = [entry.value.replace("\\$", "$") for entry in app.markdown]
    for name, found in bundle.decision["topologies"].items():
        assert any(f"**{name}**" in text and found["months"][-1]["binding"] in text for text in said)
    notes = next(text for text in said if "no other winner" in text or "at about" in text)
    assert len(notes.splitlines()) == len(bundle.decision["flips"])
    assert not app.button(key="sizing.run").disabled


def test_changes_of_one_run_are_not_laid_over_another(open_view: Open, runs: Path) -> None:
    app = open_view("what_if", **{"what_if.server": "2.0"})
    assert app.number_input(key="what_if.server").value == 2.0
    (busier,) = runs.glob("busier-*")
    app.selectbox(key="run").set_value(busier.name).run()
    assert [error.value for error in app.error] == []
    assert app.number_input(key="what_if.server").value == 1.0
    assert any("nothing yet" in caption.value for caption in app.caption)


def test_a_page_leaves_its_fields_to_the_person_who_changes_them(open_view: Open) -> None:
    """What a page sets takes the place, in the browser, of what was done there meanwhile."""

    def is_set(kind: str, label: str) -> bool:
        (found,) = (field for field in app.get(kind) if field.proto.label == label)
        return bool(found.proto.set_value)

    app = open_view("what_if")
    app.slider(key="what_if.demand.drag").set_value(1.05).run()
    assert not is_set("slider", "Demand ×")
    assert is_set("number_input", "Demand ×: typed")
    app.number_input(key="what_if.demand").set_value(1.5).run()
    assert is_set("slider", "Demand ×")
    assert not is_set("selectbox", "Run")


def test_what_is_changed_of_a_run_is_not_changed_of_another(open_view: Open, runs: Path) -> None:
    app = open_view("what_if", **{"what_if.rent": "2.0"})
    app.selectbox(key="baseline").set_value("cloud").run()
    assert app.number_input(key="what_if.rent").value == 2.0, "the same run"
    (other,) = runs.glob("busier-*")
    app.selectbox(key="run").set_value(other.name).run()
    assert not app.exception
    assert app.number_input(key="what_if.rent").value == 1.0
    assert any("nothing yet" in caption.value for caption in app.caption)


def test_a_class_of_which_nobody_was_served_has_no_curves(open_view: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "No request of this class was completed, so there is no latency to show."
    app = open_view("latency")
    assert app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    assert said not in [info.value for info in app.info]
    table = import_module("dashboard.views.latency").table
    monkeypatch.setattr("dashboard.views.latency.table", lambda *asked: table(*asked).iloc[:0])
    app = open_view("latency")
    assert not app.exception
    assert [info.value for info in app.info] == [said]
    drawn = [*app.get("arrow_vega_lite_chart"), *app.get("vega_lite_chart")]
    assert drawn == []
    assert len(app.dataframe) == 1, "terms of the SLO, which it misses or nobody knows"
