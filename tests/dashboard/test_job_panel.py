"""What is said of runs that go on or have ended, and which of them a button ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import jobs
from dashboard.components.job_panel import progress_words
from dashboard.line import Status

OUT = Path("/nowhere/runs")
MINE = Status("running", doing="own", name="mine")
WAITING = Status("waiting", name="late*r")


def _one(out: str, job: str) -> None:
    from pathlib import Path

    import streamlit as st

    from dashboard.components.job_panel import show_job

    st.session_state.setdefault("pages", {"overview": st.Page(lambda: None, title="Overview")})
    show_job(Path(out), job)


def _others(out: str, job: str | None) -> None:
    from pathlib import Path

    from dashboard.components.job_panel import show_others

    show_others(Path(out), job)


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """Runs that were ended, in a line of three."""
    found: list[tuple[Path, str]] = []
    going = {"mine": MINE, "second": WAITING, "third": WAITING}
    monkeypatch.setattr(jobs, "going", lambda out: going)
    monkeypatch.setattr(jobs, "status", lambda out, job: going.get(job))
    monkeypatch.setattr(jobs, "place", lambda out, job: list(going).index(job))
    monkeypatch.setattr(jobs, "cancel", lambda out, job: found.append((out, job)))
    return found


def test_the_button_of_a_run_ends_that_run_and_nothing_else_does(cancelled: list[tuple[Path, str]]) -> None:
    app = AppTest.from_function(_one, args=(str(OUT), "mine")).run()
    assert not app.exception
    assert cancelled == []
    app.button(key="job.cancel").click().run()
    assert cancelled == [(OUT, "mine")]


def test_each_other_run_has_a_button_of_its_own(cancelled: list[tuple[Path, str]]) -> None:
    app = AppTest.from_function(_others, args=(str(OUT), "mine")).run()
    assert [expander.label for expander in app.expander] == ["2 other runs here"]
    assert [button.key for button in app.button] == ["job.cancel.second", "job.cancel.third"]
    assert [text.value for text in app.markdown] == [
        r"**late\*r** waits in line, the next one",
        r"**late\*r** waits in line, number 2",
    ]
    app.button(key="job.cancel.third").click().run()
    assert cancelled == [(OUT, "third")]


@pytest.mark.parametrize(("job", "label"), [(None, "3 other runs here"), ("none of these", "3 other runs here")])
def test_without_a_run_of_ones_own_all_are_others(cancelled: list[tuple[Path, str]], job: str, label: str) -> None:
    app = AppTest.from_function(_others, args=(str(OUT), job)).run()
    assert [expander.label for expander in app.expander] == [label]


def test_one_other_is_one_and_none_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "place", lambda out, job: 1)
    for going, labels in (({"mine": MINE, "b": WAITING}, ["1 other run here"]), ({"mine": MINE}, []), ({}, [])):
        monkeypatch.setattr(jobs, "going", lambda out, going=going: going)
        app = AppTest.from_function(_others, args=(str(OUT), "mine")).run()
        assert [expander.label for expander in app.expander] == labels


def ended(monkeypatch: pytest.MonkeyPatch, status: Status | None, **session: Any) -> AppTest:
    monkeypatch.setattr(jobs, "status", lambda out, job: status)
    app = AppTest.from_function(_one, args=(str(OUT), "mine"))
    for name, value in session.items():
        app.session_state[name.replace("__", ".")] = value
    return app.run()


def test_how_a_run_ended_is_told_with_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = ended(monkeypatch, Status("cancelled", share=0.4))
    assert [each.value for each in app.warning] == [
        "Cancelled at 40%. What it had found stays in a folder that ends in `.partial`."
    ]
    app = ended(monkeypatch, Status("cancelled", share=0.125, kind="sweep"))
    assert [each.value for each in app.warning] == ["Cancelled at 12%. The same sweep goes on from there."]
    app = ended(monkeypatch, Status("cancelled", doing="waiting"))
    assert [each.value for each in app.warning] == ["Cancelled before its turn came, so nothing is left of it."]
    app = ended(monkeypatch, Status("cancelled", doing="starting"))
    assert [each.value for each in app.warning] == ["Cancelled before it began, so nothing is left of it."]
    app = ended(monkeypatch, Status("refused", problems=("one", "*two*")))
    assert [each.value for each in app.error] == ["one", r"\*two\*"]
    app = ended(monkeypatch, Status("killed", share=0.5, doing="own", problems=("one", "two")))
    assert [each.value for each in app.error] == [
        "The run ended at 50% (own): one; two. Your text is still there: run it again, with a shorter `run.horizon_s` "
        "if memory ran out."
    ]
    app = ended(monkeypatch, None)
    assert [each.value for each in app.info] == ["This run is no longer known here. Start it again."]


@pytest.mark.parametrize(("kind", "key", "other"), [("run", "show", "sweep.show"), ("sweep", "sweep.show", "show")])
def test_a_run_that_is_done_is_shown_once(monkeypatch: pytest.MonkeyPatch, kind: str, key: str, other: str) -> None:
    done = Status("done", share=1.0, bundle="a-bundle", kind=kind)
    app = ended(monkeypatch, done)
    assert app.session_state["job.shown"] == "mine"
    assert app.session_state[key] == "a-bundle"
    assert other not in app.session_state
    assert [each.value for each in app.success] == [f"The {kind} is done."]
    again = ended(monkeypatch, done, job__shown="mine")
    assert key not in again.session_state


def test_the_time_until_a_turn_is_that_of_as_many_runs_as_are_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.line.time.time", lambda: 300.0)
    quick, slow = (Status("running", share=share, began_s=0.0, doing="own") for share in (0.75, 0.25))
    assert progress_words(quick, 0, {}) == "own: 75%, about 100 s left"
    assert progress_words(Status("running", share=0.01, doing="own"), 0, {}) == "own: 1%"
    going = {"a": slow, "b": quick, "c": WAITING, "d": Status("running", share=0.01)}
    for place, soon in ((1, 100), (2, 900), (3, 900)):
        ahead = "the next one" if place == 1 else f"number {place}"
        told = f"waits in line, {ahead}, not before about {soon} s from now"
        assert progress_words(WAITING, place, going) == told
    assert progress_words(WAITING, 3, {"c": WAITING}) == "waits in line, number 3"
