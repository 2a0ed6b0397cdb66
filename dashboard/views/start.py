"""Start: what do I serve, to whom, when, and where may it run?"""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.components.words import plain
from dashboard.context import Context
from simulator.catalog.currencies import currencies
from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.catalog.sites import sites
from simulator.catalog.tokens import token_offers
from simulator.errors import InputError
from simulator.questions.answers import AMOUNTS, Asked, is_asked, questions
from simulator.questions.write import scenario_text

_AMOUNT_WORDS = {
    "users": "People who use it",
    "rate_rps": "Requests per second",
    "spend_usd_per_month": "Money paid for tokens",
}
_AMOUNT_DEFAULTS = {"users": 300, "rate_rps": 2.0, "spend_usd_per_month": 10_000.0}
_CHOICE_WORDS = {
    "always": "day and night alike",
    "daytime": "8 to 22 o'clock, every day",
    "working_hours": "Monday to Friday, 8 to 18 o'clock",
}
_NONE = "none"


def show(context: Context | None) -> None:
    """Questions, and the scenario that the answers make."""
    st.title("Start")
    st.caption("Answer what you know. Each default says why it is what it is, and stands in the scenario as one.")
    amount = st.segmented_control(
        "What do you know of the demand?",
        AMOUNTS,
        format_func=_AMOUNT_WORDS.__getitem__,
        default=AMOUNTS[0],
        required=True,
        key="start.amount",
    )
    given: dict[str, Any] = {}
    currency = st.session_state.get("start.currency")
    stated = None if currency == _NONE else currency
    shown = [question for question in questions() if is_asked(question.name, amount, stated)]
    for k in range(0, len(shown), 2):
        for question, place in zip(shown[k : k + 2], st.columns(2, vertical_alignment="bottom"), strict=False):
            with place:
                found = _field(question)
                if found != question.default:
                    given[question.name] = found
    try:
        text = scenario_text(given)
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if st.button("Write the scenario", key="start.write", type="primary", icon=":material/edit_note:"):
        st.session_state["scenario.draft"] = text
        st.switch_page(st.session_state["pages"]["scenario"])
    with st.expander("The scenario that these answers make"):
        st.code(text, language="yaml")


def _field(question: Asked) -> Any:
    """The widget of a question; its help says why the default is what it is."""
    key, why = f"start.{question.name}", f"Default: {question.shown_default}"
    names = _names(question)
    if names:
        first = names.index(question.default if question.default is not None else _NONE)
        found = st.selectbox(
            question.text, names, first, format_func=lambda name: _CHOICE_WORDS.get(name, name), key=key, help=why
        )
        return None if found == _NONE and question.default is None else found
    if question.kind is str:
        return st.text_input(question.text, key=key, help=why) or None
    default = _AMOUNT_DEFAULTS.get(question.name, question.default)
    if default is None:
        return st.number_input(question.text, value=None, key=key, help=why, format="%g")
    if question.kind is int:
        return int(st.number_input(question.text, value=int(default), step=1, key=key, help=why))
    return float(st.number_input(question.text, value=float(default), key=key, help=why, format="%g"))


def _names(question: Asked) -> list[str]:
    known: dict[str, list[str]] = {
        "model": list(models()),
        "gpu": list(gpus()),
        "site": [name for name, each in sites().items() if each.kind == "cloud"],
        "offer": [_NONE, *token_offers()],
        "currency": [_NONE, *currencies()],
    }
    return known.get(question.name, list(question.choices))
