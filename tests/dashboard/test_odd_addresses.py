"""Addresses that no page wrote: a view opens all the same, and says shortly what is not here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.components.problems import problem_texts
from dashboard.settings import Settings
from simulator.errors import InputError, Problem

Open = Callable[..., AppTest]


@pytest.mark.parametrize(
    "answers",
    [
        "-1",
        "1e400",
        "[1]",
        "null",
        '"a"',
        "[" * 3_000,
        '{"name":' * 2_000,
        r'{"name": "\ud800"}',
        '{"name": "a\\u0000"}',
    ],
)
def test_answers_that_are_none_leave_the_form_as_it_begins(open_view: Open, answers: str) -> None:
    app = open_view("start", answers=answers)
    assert [error.value for error in app.error] == []
    assert app.text_input(key="start.name").value == open_view("start").text_input(key="start.name").value


def test_a_draft_and_a_run_that_no_name_can_be_are_told_shortly(open_view: Open) -> None:
    app = open_view("scenario", draft="x" * 10_000, job="y" * 10_000, run="z" * 10_000)
    assert not app.error
    told = [warning.value for warning in app.warning]
    assert any("no longer kept" in text for text in told)
    assert any("no run 'zzz" in text for text in told)
    assert max(map(len, told)) < 700


def test_the_first_problems_are_shown_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Settings((), "").to_environment().items():
        monkeypatch.setenv(name, value)
    texts = problem_texts(InputError(*(Problem(f"wrong {k}" + "x" * 5_000) for k in range(1_234))))
    assert len(texts) == 11
    assert texts[-1] == "and 1,224 more"
    assert max(map(len, texts)) < 700


def test_an_editor_with_a_thousand_problems_shows_the_first(open_view: Open) -> None:
    app = open_view("scenario")
    text = app.text_area(key="scenario.text").value
    many = "\n".join(f"odd_{k}: 1" for k in range(1_000))
    app.text_area(key="scenario.text").set_value(f"{text}\n{many}\n").run()
    assert 2 <= len(app.error) <= 11
    assert app.error[-1].value.startswith("and ")
