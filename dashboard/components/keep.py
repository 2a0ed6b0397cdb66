"""Runs and sweeps that were made here get names and notes, and go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard.components.words import plain
from dashboard.settings import settings
from simulator.errors import InputError
from simulator.results.notes import MOST_CHARACTERS, read_note, write_note
from simulator.results.shelf import delete_bundle, rename_bundle

Follow = Callable[[str | None], None]
"""Called with the new name, None once it is deleted."""


def show_keeping(folder: Path, follow: Follow, key: str) -> None:
    """The note of a run or sweep; where it lies in the folder of runs that users start, fields to change what it is."""
    if said := read_note(folder).strip():
        st.caption(plain(said))
    if folder.parent.resolve() != Path(settings().out).resolve():
        return
    with st.popover("Name, note or delete", icon=":material/edit:", key=f"{key}.popover"):
        field = f"{key}.name.{folder.name}"
        st.text_input("New name", folder.name, max_chars=100, key=field)
        st.button("Rename", key=f"{key}.rename", on_click=_rename, args=(folder, field, follow))
        words = f"{key}.note.{folder.name}"
        st.text_area("Note", said, max_chars=MOST_CHARACTERS, key=words, help="for everybody who looks at it")
        st.button("Keep the note", key=f"{key}.note", on_click=_say, args=(folder, words))
        is_sure = st.checkbox(f"Delete {plain(folder.name)} for good, for everybody", key=f"{key}.sure.{folder.name}")
        st.button("Delete", key=f"{key}.delete", disabled=not is_sure, on_click=_delete, args=(folder, follow))


def _rename(folder: Path, field: str, follow: Follow) -> None:
    try:
        follow(rename_bundle(folder, st.session_state.get(field, folder.name).strip()).name)
    except InputError as error:
        st.toast(_told(error), icon=":material/error:")


def _say(folder: Path, field: str) -> None:
    try:
        write_note(folder, st.session_state.get(field, read_note(folder)))
    except InputError as error:
        st.toast(_told(error), icon=":material/error:")


def _delete(folder: Path, follow: Follow) -> None:
    try:
        delete_bundle(folder)
        follow(None)
    except InputError as error:
        st.toast(_told(error), icon=":material/error:")


def _told(error: InputError) -> str:
    """Without the server's folders."""
    return plain("; ".join(problem.message for problem in error.problems))
