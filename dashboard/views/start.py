"""Start: what do I serve, to whom, when, and where may it run?"""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

import streamlit as st

from dashboard.checks import Composed, compose
from dashboard.components.answer_field import OWN_HOURS, OWN_MODEL, Given, answer_field, keep, restored
from dashboard.components.own_hours import own_hours
from dashboard.components.own_log import own_log
from dashboard.components.own_model import own_model
from dashboard.components.words import plain
from dashboard.context import Context
from dashboard.visitor import visitor
from simulator.cli.problems import first_of
from simulator.errors import InputError, Problem
from simulator.questions.answers import AMOUNTS, TOLD_BY_TRACE, Asked, Group, is_asked, questions
from simulator.questions.places import question_of

_AMOUNT_WORDS = {
    "users": "People who use it",
    "rate_rps": "Requests per second",
    "spend_usd_per_month": "Money paid for tokens",
    "trace": "An access log",
}
_COLUMNS = 3
_FIELD_PX = 220
"""Least width of a field, so that its answers can be read."""
_PHONE_PX = 641
"""Width below which Streamlit puts columns below each other."""
_GROUP_WORDS: dict[str, str] = {
    "Hardware": "What is there, what could be. A GPU that the catalog lacks has a name of its own.",
    "Prices": "Those of the catalog, each with its source and day, unless you know your own.",
}


def show(context: Context | None) -> None:
    """Questions, and the scenario that the answers make."""
    st.title("Start")
    st.caption("Answer what you know. Each default stands with its reason, here and in the scenario.")
    given: Given = {}
    places: dict[str, Any] = {}
    told: dict[str, Any] = {}
    name, files = "", dict[str, bytes]()
    is_logged = False
    for group in get_args(Group):
        st.header(group)
        if group in _GROUP_WORDS:
            st.caption(_GROUP_WORDS[group])
        amount = _amount() if group == "How much, and when" else None
        is_logged = is_logged or amount == "trace"
        asked = [question for question in questions() if question.group == group]
        asked = [question for question in asked if not (is_logged and question.name in TOLD_BY_TRACE)]
        for row in _rows([question for question in asked if question.name != "hours"], given, amount):
            for question, column in zip(row, _beside(row[0].name), strict=False):
                with column:
                    if question.name == "trace":
                        files |= own_log(question, given)
                    else:
                        answer_field(question, given)
                    places[question.name] = st.container()
                    if question.name in AMOUNTS:
                        places["amount"] = places[question.name]
            for question in row:
                if question.name in ("model", "trace"):
                    told[question.name] = st.container()
                if question.name == "model" and given.get("model") == OWN_MODEL:
                    with told["model"]:
                        name, config = own_model()
                        files |= config
        if given.get("busy") == OWN_HOURS and group == "How much, and when":
            own_hours(given)
            places["hours"] = st.container()
    keep(given)
    if given.get("model") == OWN_MODEL:
        given["model"] = name
    if given.get("busy") == OWN_HOURS:
        del given["busy"]
    composed = _composed(given, files, is_logged)
    for asked_of, words in composed.told.items():
        told[asked_of].caption(words)
    _tell(composed.problems, places)
    _go_on(composed, files)


def _beside(name: str) -> Any:
    """Columns of a row, which go below each other where their fields would be too narrow for what they hold."""
    row = f"start-row-{name}"
    columns = "[data-testid='stColumn']"
    st.html(
        f"<style>@media (min-width: {_PHONE_PX}px) {{.st-key-{row} {{"
        f"& [data-testid='stHorizontalBlock'] {{flex-wrap: wrap}} & {columns} {{min-width: {_FIELD_PX}px}} "
        f"& {columns}:not(:has([data-testid='stElementContainer'])) {{min-width: 0}}}}}}</style>"
    )
    with st.container(key=row):
        return st.columns(_COLUMNS, vertical_alignment="top")


def _rows(asked: list[Asked], given: Given, amount: str | None) -> Any:
    """Rows of questions, each once those before it are answered, as some follow from others."""
    row: list[Asked] = []
    for question in asked:
        if question.name in AMOUNTS and question.name != amount:
            continue
        if question.name == "requests_per_user_per_hour" and amount != "users":
            continue
        row.append(question)
    follow = [question for question in row if not is_asked(question.name, {})]
    first = [question for question in row if question not in follow]
    yield from _in_rows(first)
    yield from _in_rows([question for question in follow if is_asked(question.name, given)])


def _in_rows(asked: list[Asked]) -> Any:
    for k in range(0, len(asked), _COLUMNS):
        yield asked[k : k + _COLUMNS]


def _amount() -> str:
    return str(
        st.segmented_control(
            "What do you know of the demand?",
            AMOUNTS,
            format_func=_AMOUNT_WORDS.__getitem__,
            default=next((name for name in AMOUNTS if name in restored()), AMOUNTS[0]),
            required=True,
            key="start.amount",
            persist_state="session",
        )
    )


def _composed(given: Given, files: dict[str, bytes], is_logged: bool) -> Composed:
    """Once for the same answers."""
    told = json.dumps(given, sort_keys=True).encode() + b"".join(files.values())
    if given.get("model", "").endswith(".json") and given["model"] not in files:
        return Composed("", {}, (Problem("upload its config.json, or paste it", path="model"),))
    if is_logged and "trace" not in given:
        return Composed("", {}, (Problem("upload the log", path="trace"),))
    digest = hashlib.sha256(told).hexdigest()
    if st.session_state.get("start.composed", ("",))[0] != digest:
        try:
            st.session_state["start.composed"] = digest, compose(given, files, visitor())
        except InputError as error:
            st.session_state["start.composed"] = digest, Composed("", {}, error.problems)
    found: Composed = st.session_state["start.composed"][1]
    return found


def _tell(problems: tuple[Problem, ...], places: dict[str, Any]) -> None:
    """What is wrong, each at its question; above the button what belongs to none."""
    first, rest = first_of(problems)
    for problem in first:
        name = question_of(problem)
        got = f" (got {problem.got})" if problem.got else ""
        if name in places:
            line = f"line {problem.line}: " if problem.line else ""
            places[name].error(plain(f"{line}{problem.message}{got}"), icon=":material/error:")
        else:
            st.error(plain(str(problem)), icon=":material/error:")
    if rest:
        st.error(rest, icon=":material/error:")
    if problems and any(question_of(problem) in places for problem in problems):
        st.warning("Some answers above do not hold: each says why.", icon=":material/warning:")


def _go_on(composed: Composed, files: dict[str, bytes]) -> None:
    is_whole = composed.text and not composed.problems
    if is_whole and st.button("Write the scenario", key="start.write", type="primary", icon=":material/edit_note:"):
        st.session_state["scenario.draft"] = composed.text
        st.session_state["scenario.attached"] = files
        st.switch_page(st.session_state["pages"]["scenario"])
    if composed.text:
        with st.expander("The scenario that these answers make"):
            st.code(composed.text, language="yaml")
