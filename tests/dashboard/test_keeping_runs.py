"""Runs are renamed and deleted where they were made, and only when whoever deletes is sure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings


def _page() -> None:
    import streamlit as st

    from dashboard.boundary import page
    from dashboard.pages import PAGES

    st.session_state.setdefault("pages", {})
    page(next(entry for entry in PAGES if entry.view == "compare"))()


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """A folder of runs that users start, with two runs."""
    for folder in runs.glob("*-*"):
        shutil.copytree(folder, tmp_path / "own" / folder.name)
    return tmp_path / "own"


def opened(out: Path, seen: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    for name, value in Settings((str(seen),), str(out)).to_environment().items():
        monkeypatch.setenv(name, value)
    return AppTest.from_function(_page, default_timeout=600).run()


def test_a_run_is_renamed_then_deleted_and_the_other_is_shown(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(own, own, monkeypatch)
    first = app.selectbox(key="run").value
    app.text_input(key=f"run.keep.name.{first}").set_value("of today")  # the click may come before the page knows
    app.button(key="run.keep.rename").click().run()
    assert not app.exception
    assert app.selectbox(key="run").value == "of today"
    assert app.query_params["run"] == "of today"
    assert (own / "of today" / "summary.json").is_file()
    assert app.button(key="run.keep.delete").disabled
    app.checkbox(key="run.keep.sure.of today").check().run()
    app.button(key="run.keep.delete").click().run()
    assert not app.exception
    (left,) = (path.name for path in own.iterdir())
    assert app.selectbox(key="run").value == left != first


def test_a_note_is_kept_and_seen_and_taken_away(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(own, own, monkeypatch)
    first = app.selectbox(key="run").value
    field = f"run.keep.note.{first}"
    app.text_area(key=field).set_value("as *offered* in May")
    app.button(key="run.keep.note").click().run()
    assert not app.exception
    assert (own / first / "note.txt").read_text() == "as *offered* in May\n"
    assert "as \\*offered\\* in May" in [caption.value for caption in app.sidebar.caption]
    app.text_area(key=field).set_value(" ")
    app.button(key="run.keep.note").click().run()
    assert not (own / first / "note.txt").exists()


def test_a_name_that_is_taken_is_told(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(own, own, monkeypatch)
    first = app.selectbox(key="run").value
    other = next(path.name for path in own.iterdir() if path.name != first)
    app.text_input(key=f"run.keep.name.{first}").set_value(other).run()
    app.button(key="run.keep.rename").click().run()
    assert "taken" in app.toast[0].value
    assert str(own) not in app.toast[0].value
    assert {path.name for path in own.iterdir()} == {first, other}


def test_what_was_not_made_here_stays(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(tmp_path / "mine", runs, monkeypatch)
    assert app.selectbox(key="run").value
    assert not [button for button in app.button if (button.key or "").startswith("run.keep")]
