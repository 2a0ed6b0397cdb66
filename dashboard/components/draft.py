"""The draft behind the editor: kept with every change, told when somebody else saves, opened again by its address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import unified_diff
from pathlib import Path

import streamlit as st

from dashboard import drafts
from dashboard.components.words import plain
from dashboard.drafts import Version
from dashboard.settings import settings
from dashboard.visitor import visitor
from simulator.errors import InputError

TEXT = "scenario.text"
_ID, _SEEN, _KEPT = "scenario.draft_id", "scenario.draft_version", "scenario.draft_text"
_CHOSEN = "scenario.draft_chosen"
_EVERY_S = 5.0
_LONGEST_DIFF = 400
"""Lines that are shown of it."""


def open_named(source: str) -> bool:
    """Open the draft that the address names, if this tab has not: its last version, and the steps that led there."""
    named = st.query_params.get("draft")
    if named is None:
        if known := st.session_state.get(_ID):
            st.query_params["draft"] = known
        return False
    if named == st.session_state.get(_ID):
        return False
    found = drafts.versions(_out(), named)
    if not found:
        st.query_params.pop("draft", None)
        st.warning(
            "The draft of this address is no longer kept here. The scenario that it began with stands below; runs that "
            "were made of it are in the sidebar.",
            icon=":material/history:",
        )
        return False
    _see(named, found[-1])
    st.session_state[TEXT] = found[-1].text
    st.session_state["scenario.begun"] = found[0].text
    st.session_state["scenario.source"] = source
    st.session_state["scenario.steps"] = source, [{TEXT: version.text} for version in found]
    st.session_state["scenario.attached"] = drafts.beside(_out(), named)
    return True


def close() -> None:
    """Go on without a draft, as with another scenario; what was kept stays where its address leads."""
    for key in (_ID, _SEEN, _KEPT):
        st.session_state.pop(key, None)
    st.query_params.pop("draft", None)


def begin(text: str, beside: Mapping[str, bytes]) -> None:
    """A new draft of a text that nothing else has."""
    draft = drafts.begin(_out(), text, beside, visitor(), _name())
    _see(draft, drafts.versions(_out(), draft)[-1])
    st.query_params["draft"] = draft


def keep(text: str, begun: str, beside: Mapping[str, bytes]) -> None:
    """Keep what was changed, and say what others have saved meanwhile.

    Parameters
    ----------
    begun : the text before all changes, the draft's first version
    """
    try:
        if _ID not in st.session_state:
            if text == begun:
                return
            begin(begun, beside)
        is_open = text != st.session_state[_KEPT] and not _save(text)
    except InputError as error:
        st.warning(plain(str(error)), icon=":material/warning:")
        return
    _notice(text, is_open)


def _save(text: str) -> bool:
    saved = drafts.save(_out(), st.session_state[_ID], st.session_state[_SEEN], text, visitor(), _name())
    if saved is not None:
        _see(st.session_state[_ID], saved)
    return saved is not None


@st.fragment(run_every=_EVERY_S)
def _notice(text: str, is_changed: bool) -> None:
    """That somebody else has saved, with both versions; nothing where nobody has."""
    if st.session_state.pop(_CHOSEN, False):
        st.rerun()
    draft, seen = st.session_state.get(_ID), st.session_state.get(_SEEN, 0)
    if draft is None or drafts.latest(_out(), draft) <= seen:
        return
    theirs = drafts.versions(_out(), draft)[-1]
    if theirs.text == text:
        _see(draft, theirs)
        return
    yours = "your change is not saved over theirs" if is_changed else "your page still shows the version before"
    st.warning(
        f"**Two pages edit this scenario.** {_who(theirs)} saved last, at {_when(theirs)}; {yours}. Both versions are "
        "at hand, and whichever you choose, the other stays among the steps of Undo.",
        icon=":material/group:",
    )
    row = st.container(horizontal=True)
    row.button("Take theirs", key="draft.theirs", on_click=_take, args=(text, theirs, is_changed))
    row.button("Keep mine", key="draft.mine", on_click=_stay, args=(text, theirs))
    for label, version in (("Save theirs as file", theirs.text), ("Save mine as file", text)):
        row.download_button(
            label, version, f"{label.split()[1]}.yaml", "application/yaml", key=label, on_click="ignore"
        )
    with st.expander("What differs: − mine, + theirs"):
        lines = [*unified_diff(text.splitlines(), theirs.text.splitlines(), "mine", "theirs", lineterm="", n=1)]
        st.code("\n".join(lines[:_LONGEST_DIFF]), language="diff")


def _take(text: str, theirs: Version, is_changed: bool) -> None:
    """Mine goes below theirs, and theirs is what the page shows."""
    _see(st.session_state[_ID], theirs)
    if is_changed and _save(text):
        _save(theirs.text)
    _to_steps(text, theirs.text)
    st.session_state[TEXT] = theirs.text


def _stay(text: str, theirs: Version) -> None:
    """Mine goes on top of theirs."""
    _see(st.session_state[_ID], theirs)
    _save(text)
    _to_steps(theirs.text, text)


def _to_steps(*texts: str) -> None:
    st.session_state[_CHOSEN] = True
    source, steps = st.session_state.get("scenario.steps", (st.session_state["scenario.source"], []))
    kept = [step for step in steps if step[TEXT] != texts[-1]] + [{TEXT: text} for text in texts]
    st.session_state["scenario.steps"] = source, [step for k, step in enumerate(kept) if k == 0 or step != kept[k - 1]]


def _see(draft: str, version: Version) -> None:
    st.session_state[_ID], st.session_state[_SEEN], st.session_state[_KEPT] = draft, version.number, version.text


def _out() -> Path:
    return Path(settings().out)


def _name() -> str:
    return str(st.user.get("email") or st.user.get("name") or "") if settings().sign_in else ""


def _who(version: Version) -> str:
    if version.name:
        return plain(version.name)
    return "Another tab of yours" if version.visitor == visitor() else "Somebody else"


def _when(version: Version) -> str:
    return f"{datetime.fromtimestamp(version.saved_s):%H:%M:%S}"
