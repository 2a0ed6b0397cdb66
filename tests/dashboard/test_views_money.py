"""Compare, Pareto, Cost and Break-even on real runs: what they show is what the reports and the command line say."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings
from simulator.report.decision import PAIR_HEADERS, decision_notes, pair_rows
from simulator.report.paired import differences_to
from simulator.report.table import ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.results.shelf import bundle_folders, sweep_folders
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep
from tests.bundle_cases import reseal

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SHORT = ["run.horizon_s=60", "run.warmup_s=5"]

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that served the same requests, the second at dearer electricity, and a sweep."""
    folder = tmp_path_factory.mktemp("twins")
    simulate(load_scenario(SCENARIO, sets=SHORT), folder)
    simulate(load_scenario(SCENARIO, sets=[*SHORT, "name=dear", "cost.overrides={power.electricity: 0.5}"]), folder)
    run_sweep(read_sweep(SCENARIO, ["workload.classes[chat].arrivals.rate_rps=2,4"], [], SHORT), folder, 1)
    return folder


@pytest.fixture
def first(twins: Path) -> Bundle:
    (found,) = twins.glob("small-*")
    return read_bundle(found)


@pytest.fixture
def open_money(twins: Path, first: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    def open_(view: str, run: str | None = None, **parameters: str) -> AppTest:
        for name, value in Settings((str(twins),), str(tmp_path)).to_environment().items():
            monkeypatch.setenv(name, value)
        app = AppTest.from_function(_page, args=(view,), default_timeout=600)
        for name, value in {"run": run or first.path.name, **parameters}.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        assert [error.value for error in app.error] == []
        return app

    return open_


def _page(view: str) -> None:
    import streamlit as st

    from dashboard.boundary import page
    from dashboard.pages import PAGES

    st.session_state.setdefault("pages", {})
    page(next(entry for entry in PAGES if entry.view == view))()


def frames(app: AppTest, column: str) -> list[pd.DataFrame]:
    return [entry.value for entry in app.dataframe if column in entry.value.columns]


@pytest.mark.exhaustive
def test_runs_that_served_the_same_requests_are_compared_in_pairs(open_money: Open, twins: Path, first: Bundle) -> None:
    (other,) = twins.glob("dear-*")
    app = open_money("compare", **{"compare.other": other.name})
    both = {f"{name} here": found for name, found in ordered(first.summary).items()}
    both |= {f"{name} there": found for name, found in ordered(read_bundle(other).summary).items()}
    rows, headers = differences_to(both, "own here")
    shown = frames(app, headers[-1])
    assert shown[0].to_numpy().tolist() == rows
    money = dict(zip(headers[1:], rows[0][1:], strict=True))
    assert money["own there"].startswith("+")
    assert money["api there"] == money["api here"]
    differing = frames(app, other.name)[0]
    assert "price of electricity" in differing["what"].tolist()


def test_topologies_differences_are_told_setting_by_setting(open_money: Open) -> None:
    shown = frames(open_money("compare"), "what")[0].set_index("what")
    assert shown.loc["pool base: billing", "own"] == "owned"
    assert shown.loc["pool base: billing", "cloud"] == "-"
    assert shown.loc["token API together: offer", "api"] == "Llama 3.3 70B (Together AI)"


def test_sweeps_are_points_and_no_runs(open_money: Open, twins: Path) -> None:
    (sweep,) = sweep_folders((str(twins),))
    assert sweep not in bundle_folders((str(twins),))
    app = open_money("pareto")
    assert app.selectbox(key="run").options.count(sweep.name) == 0
    app.multiselect(key="pareto.sweeps").set_value([sweep.name]).run()
    assert "rate_rps=2" in app.success[0].value
    app.selectbox(key="pareto.measure").set_value("tpot_p95_s").run()
    assert any("at most 0.05 s" in caption.value for caption in app.caption)
    app.selectbox(key="pareto.measure").set_value("e2e_p99_s").run()
    assert any("sets no limit" in caption.value for caption in app.caption)


def test_a_broken_sweep_and_run_are_told_and_the_rest_is_shown(open_money: Open, twins: Path) -> None:
    (sweep,) = sweep_folders((str(twins),))
    broken = twins / "broken-sweep"
    shutil.copytree(sweep, broken)
    (broken / "sweep.parquet").write_bytes(b"no table")
    (twins / "broken-run").mkdir()
    (twins / "broken-run/manifest.json").write_text("{", encoding="utf-8")
    try:
        app = open_money("pareto")
        app.multiselect(key="pareto.sweeps").set_value([broken.name]).run()
        app.multiselect(key="pareto.runs").set_value(["broken-run"]).run()
        assert len(app.warning) == 2
        assert "Cheapest" in app.success[0].value
    finally:
        shutil.rmtree(broken)
        shutil.rmtree(twins / "broken-run")


def test_without_further_points_the_cheapest_is_the_decision_s(open_money: Open, first: Bundle, twins: Path) -> None:
    alone = open_money("pareto").success[0].value
    assert all(f"**{name}**" in alone for name in first.decision["winners"])
    said = "someone else"
    forged = twins / "small-forged"
    shutil.copytree(first.path, forged)
    try:
        text = (forged / "decision.json").read_text(encoding="utf-8")
        data = json.loads(text)
        data["winners"] = ["own", "cloud", "api"]
        data["verdict"] = f"{said}. And why."
        (forged / "decision.json").write_text(json.dumps(data), encoding="utf-8")
        reseal(forged)
        equal = open_money("pareto", run=forged.name).success[0].value
        assert all(f"**{name}**" in equal for name in data["winners"])
        assert open_money("overview", run=forged.name).info[0].value == f"**{said}.** And why."
        data["withheld_by"] = ["api"]
        (forged / "decision.json").write_text(json.dumps(data), encoding="utf-8")
        reseal(forged)
        os.utime(forged / "manifest.json", (1, 1))
        assert said in open_money("pareto", run=forged.name).warning[0].value
    finally:
        shutil.rmtree(forged)


def test_spending_can_be_seen_as_present_value(open_money: Open, first: Bundle) -> None:
    app = open_money("cost")
    app.segmented_control(key="cost.flow_basis").set_value("present").run()
    rate = first.summary["topologies"]["own"]["cost"]["discount_rate"]
    assert any(f"Discounted at {rate:.1%}" in caption.value for caption in app.caption)
    shown = frames(app, "present value [$]")[0].set_index("topology")
    for name, found in first.summary["topologies"].items():
        cost = found["cost"]
        assert shown.loc[name, "present value [$]"] == pytest.approx(-cost["npv_usd"], abs=0.5)
        assert shown.loc[name, "at the start [$]"] == pytest.approx(-cost["cash_flow_usd"][0], abs=0.5)


def test_break_even_is_that_of_the_decision(open_money: Open, first: Bundle) -> None:
    app = open_money("break_even")
    names = list(ordered(first.summary))
    (shown,) = frames(app, PAIR_HEADERS[-1])
    assert shown.to_numpy().tolist() == pair_rows(first.decision, names) != []
    said = [entry.value.removeprefix("- ").replace("\\$", "$") for entry in app.markdown]
    assert set(decision_notes(first.decision, names)) <= set(said)
    app.selectbox(key="break_even.topology").set_value("cloud").run()
    assert not app.exception


def test_what_nobody_used_is_told_with_its_share_of_the_bill(open_money: Open, first: Bundle) -> None:
    """Idle, spare, unused and the like; of a bill without credits the share is that of its lines."""
    costs = first.table("costs")
    idle = costs["part"].isin(["idle", "spare", "unused", "starting", "down"])
    told = next(entry.value for entry in open_money("cost").caption if entry.value.startswith("Share paid but unused"))
    for name, lines in costs[idle].groupby("topology")["usd_per_month"]:
        whole = costs.loc[costs["topology"] == name, "usd_per_month"].sum()
        assert f"{name} {lines.sum() / whole:.0%} (" in told
        assert f"{lines.sum():,.0f})" in told
