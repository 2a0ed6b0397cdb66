"""The field of a question, with its default and the reason for it below."""

from __future__ import annotations

import json
import re
from typing import Any

import streamlit as st

from dashboard.components.words import plain
from simulator.catalog.currencies import currencies
from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.catalog.sites import sites
from simulator.catalog.tokens import token_offers
from simulator.questions.answers import Asked, questions
from simulator.schema.base import LARGEST

Given = dict[str, Any]
OWN_MODEL = "one of my own"
OWN_HOURS = "own_hours"
"""Choices that are no answers: further fields say what it is."""
_NONE = "none"
_TITLED = ("model", "quantization", "gpu", "other_gpus", "site", "offer")
"""Questions whose answers the catalog calls by a title, too."""
_EXAMPLE = re.compile(r" \(as [^)]*\)")
_LONGEST = 500
"""Letters of an answer."""
AMOUNT_DEFAULTS = {"users": 300, "rate_rps": 2.0, "spend_usd_per_month": 10_000.0}
_CHOICE_WORDS = {
    "always": "day and night alike",
    "daytime": "8 to 22 o'clock, every day",
    "working_hours": "Monday to Friday, 8 to 18 o'clock",
    OWN_HOURS: "hours of my own",
    OWN_MODEL: "one of my own (config.json)",
    "public": "public: for anybody",
    "internal": "internal: under an agreement",
    "confidential": "confidential: for few places",
    "restricted": "restricted: own servers alone",
}
_FORMAT_WORDS = {"auto": "as published if quantised, else fp8", "none": "as published"}
ANSWERS = "answers"
"""In the address: a reload keeps what was answered, and a link shows it."""


def restored() -> Given:
    """Answers that the address had when the page was opened, those that their fields can hold."""
    if "start.restored" not in st.session_state:
        found = _told(st.query_params.get(ANSWERS, "{}"))
        asked = {question.name: question for question in questions()}
        kept = {name: value for name, value in found.items() if name in asked and _holds(asked[name], value)}
        st.session_state["start.restored"] = kept
    return dict(st.session_state["start.restored"])


def _told(text: str) -> Given:
    """Answers of an address; none where it was not this page that wrote it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(given: Given) -> None:
    """Put the answers into the address."""
    text = json.dumps(given, separators=(",", ":"))
    if st.query_params.get(ANSWERS, "{}") != text:
        st.query_params[ANSWERS] = text


def _holds(question: Asked, value: Any) -> bool:
    if names := _names(question):
        return value in names
    if question.kind is str:
        return isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
    is_number = isinstance(value, int if question.kind is int else int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= LARGEST


def answer_field(question: Asked, given: Given) -> None:
    """The field; into `given` goes an answer that is not the default."""
    found = _field(question, restored().get(question.name))
    if found is not None and (found != question.default or question.name in AMOUNT_DEFAULTS):
        given[question.name] = found
    if why := _why(question):
        st.caption(plain(why))


def _why(question: Asked) -> str:
    if question.name in AMOUNT_DEFAULTS or not question.why:
        return ""
    if question.default is None:
        return f"Unless said: {question.why}."
    default = question.default if question.kind is str else f"{question.default:g}"
    if question.name == "quantization":
        return f"Default: {question.why}."
    if question.name in _TITLED:
        default = _words(question, default)
    elif question.choices:
        default = _words(question, default).partition(":")[0]
    return f"Default {default}: {question.why}."


def question_words(question: Asked) -> str:
    """A question as a form asks it: by itself, and without an example of ids where titles are chosen."""
    text = question.text.removeprefix("Or: ")
    if question.name in _TITLED:
        text = _EXAMPLE.sub("", text)
    return text[0].upper() + text[1:]


def _field(question: Asked, before: Any) -> Any:
    kept: dict[str, Any] = {"key": f"start.{question.name}", "persist_state": "session"}
    if question.name == "other_gpus":
        chosen = [name for name in (before or "").split(",") if name in gpus()]
        fields = {"placeholder": "none", "format_func": lambda name: _words(question, name), **kept}
        return ",".join(st.multiselect(question_words(question), list(gpus()), chosen, **fields)) or None
    default = AMOUNT_DEFAULTS.get(question.name, question.default) if before is None else before
    names = _names(question)
    if names:
        first = names.index(_NONE if default is None else default)
        words = {"format_func": lambda name: _words(question, name), **kept}
        found = st.selectbox(question_words(question), names, first, **words)
        return None if found == _NONE and question.default is None else found
    if question.kind is str:
        return st.text_input(question_words(question), default or "", max_chars=_LONGEST, **kept).strip() or None
    step = {"step": 1} if question.kind is int else {"format": "%g"}
    if question.default is None and before is not None and question.name not in AMOUNT_DEFAULTS:
        st.session_state.setdefault(kept["key"], question.kind(before))  # a field that may be emptied again
        default = None
    start = None if default is None else question.kind(default)
    found = st.number_input(question_words(question), value=start, placeholder="not said", **step, **kept)
    return None if found is None else question.kind(found)


def _words(question: Asked, name: str) -> str:
    """An answer as people call it."""
    match question.name:
        case "gpu" | "other_gpus":
            return gpus()[name].title
        case "site":
            return sites()[name].title
        case "offer" if name != _NONE:
            offer = token_offers()[name]
            return f"{offer.title} ({sites()[offer.site].title})"
        case "model" if name != OWN_MODEL:
            return f"{models()[name].title} ({models()[name].hf_id})"
        case "currency" if name == _NONE:
            return "USD"
        case "quantization":
            return _FORMAT_WORDS.get(name, name)
    return _CHOICE_WORDS.get(name, name)


def _names(question: Asked) -> list[str]:
    known: dict[str, list[str]] = {
        "model": [*models(), OWN_MODEL],
        "busy": [*question.choices, OWN_HOURS],
        "gpu": list(gpus()),
        "site": [name for name, each in sites().items() if each.kind == "cloud" and name != "elsewhere"],
        "offer": [_NONE, *token_offers()],
        "currency": [_NONE, *currencies()],
    }
    return known.get(question.name, list(question.choices))
