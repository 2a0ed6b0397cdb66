"""A run that is gone, or of another version, leads on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings


def _page() -> None:
    import streamlit as st

    from dashboard.boundary import page
    from dashboard.pages import PAGES

    st.session_state.setdefault("pages", {name: f"http://127.0.0.1/{name}" for name in ("start", "scenario")})
    page(next(entry for entry in PAGES if entry.view == "cost"))()


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """A run that can be read, and one that another version wrote."""
    (run,) = runs.glob("small-*")
    shutil.copytree(run, tmp_path / "good-00000000")
    shutil.copytree(run, tmp_path / "older-00000000")
    manifest = tmp_path / "older-00000000" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"bundle_version": 3}))
    return tmp_path


def opened(out: Path, run: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    for name, value in Settings((str(out),), str(out)).to_environment().items():
        monkeypatch.setenv(name, value)
    app = AppTest.from_function(_page, default_timeout=600)
    app.query_params["run"] = run
    return app.run()


@pytest.mark.parametrize(
    ("run", "said", "leads"),
    [
        ("older-00000000", "has bundle version 3", ["out.scenario", "out.good-00000000"]),
        ("gone-00000000", "no run 'gone-00000000' here", ["out.good-00000000"]),
    ],
)
def test_a_run_that_cannot_be_shown_leads_on(
    own: Path, monkeypatch: pytest.MonkeyPatch, run: str, said: str, leads: list[str]
) -> None:
    app = opened(own, run, monkeypatch)
    assert [title.value for title in app.title] == ["Cost"]
    assert not app.get("page_link")
    assert said in app.error[0].value
    assert [button.key for button in app.button if str(button.key).startswith("out.")] == leads
    app.button(key="out.good-00000000").click().run()
    assert not app.error
    assert app.query_params["run"] in ("good-00000000", ["good-00000000"])


@pytest.mark.parametrize("run", ["older-00000000", "gone-00000000"])
def test_where_no_run_can_be_shown_the_first_steps_are_offered(
    own: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    shutil.rmtree(own / "good-00000000")
    app = opened(own, run, monkeypatch)
    assert [link.proto.label for link in app.get("page_link")] == ["Answer questions", "Write a scenario"]
