"""One small run that every view is shown with, and a page of the application without the frame around it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"

Open = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """AppTest puts its page in place of the main module, which processes that are spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def no_foreign_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest looks through all installed packages for components on every page; no view has one."""
    found = "streamlit.components.v2.component_manager.BidiComponentManager.discover_and_register_components"
    monkeypatch.setattr(found, lambda *_, **__: None)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of one scenario, the second at twice the demand."""
    folder = tmp_path_factory.mktemp("runs")
    simulate(load_scenario(SCENARIO), folder)
    simulate(load_scenario(SCENARIO, sets=["name=busier", "workload.classes[chat].arrivals.rate_rps=8"]), folder)
    return folder


@pytest.fixture(scope="session")
def bundle(runs: Path) -> Bundle:
    (found,) = runs.glob("small-*")
    return read_bundle(found)


@pytest.fixture
def open_view(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a view: `open_view("cost")`, with query parameters as keywords."""

    def open_(view: str, **parameters: str) -> AppTest:
        for name, value in Settings((str(runs),), str(tmp_path)).to_environment().items():
            monkeypatch.setenv(name, value)
        app = AppTest.from_function(_page, args=(view,), default_timeout=600)
        (found,) = runs.glob("small-*")
        for name, value in {"run": found.name, **parameters}.items():
            app.query_params[name] = value
        return app.run()

    return open_


def _page(view: str) -> None:
    import streamlit as st

    from dashboard.boundary import page
    from dashboard.pages import PAGES

    st.session_state.setdefault("pages", {})
    page(next(entry for entry in PAGES if entry.view == view))()
