"""The application: a menu of pages, each of which loads its view when it is opened."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.boundary import page
from dashboard.page_turns import TURNS
from dashboard.pages import PAGES
from dashboard.settings import settings
from dashboard.sign_in import is_signed_in
from dashboard.style import STYLE
from dashboard.visitor import asker
from dashboard.warm import warm_up


def main() -> None:
    """Show the menu and the page that the URL names."""
    st.set_page_config(page_title="servecast", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    menu: dict[str, list[st.Page]] = {}
    pages: dict[str, st.Page] = {}
    for entry in PAGES:
        pages[entry.view] = st.Page(
            page(entry),
            title=entry.title,
            icon=f":material/{entry.icon}:",
            url_path=entry.view.replace("_", "-"),
            default=entry is PAGES[0],
        )
        menu.setdefault(entry.section, []).append(pages[entry.view])
    st.session_state["pages"] = pages
    if settings().sign_in and not is_signed_in():
        return
    chosen = st.navigation(menu, expanded=True)
    st.html(STYLE)
    chosen.run()
    warm_up()


def is_wanted() -> bool:
    """Streamlit ends a script whose visitor has left, or asks for something else, where it looks into its session."""
    return "pages" in st.session_state


with TURNS.turn(asker(), is_wanted):
    main()
