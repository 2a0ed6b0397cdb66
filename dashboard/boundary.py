"""The frame around every view: a designed message instead of a traceback, and an empty state with a way out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st

from dashboard import jobs
from dashboard.components.job_panel import show_job
from dashboard.components.problems import problem_texts, show_problems
from dashboard.components.ways_out import link_to_first_steps, offer_ways_out
from dashboard.components.words import markdown, plain
from dashboard.context import choose
from dashboard.links import leave
from dashboard.pages import Page
from dashboard.settings import settings
from dashboard.visitor import visitor
from dashboard.workspace import gallery, shipped
from simulator.catalog.titles import own_names
from simulator.errors import InputError, ServecastError
from simulator.money import rate_words, shown_in
from simulator.report.key_words import names_of

_LOG = logging.getLogger(__name__)


def page(entry: Page) -> Callable[[], None]:
    """The page of a view: its module is imported when it is opened, and its errors are told in words."""

    def run() -> None:
        try:
            _show(entry)
        except InputError as error:
            show_problems(error)
            offer_ways_out()
        except ServecastError as error:
            _LOG.exception("a law of the simulation was broken")
            words = f"A law of the simulation was broken; please report this: {plain(str(error))}"
            st.error(words, icon=":material/bug_report:")
        except Exception as error:
            _LOG.exception("the view %s failed", entry.view)
            st.error(
                f"This view failed ({type(error).__name__}); the server's log says more. The other views still work.",
                icon=":material/bug_report:",
            )

    run.__name__ = entry.view
    return run


def _offer_first_run() -> None:
    st.info(
        "No run yet. Run the quickstart, answer questions or write a scenario of your own, or open the dashboard with "
        "`servecast dashboard RUNS`.",
        icon=":material/inbox:",
    )
    if st.button("Run the quickstart", key="first.run", type="primary", icon=":material/play_arrow:"):
        first = gallery()[0]
        st.query_params["job"] = jobs.start(
            Path(settings().out), first, (shipped() / first).read_text("utf-8"), {}, visitor=visitor()
        )
        st.rerun()
    if job := st.query_params.get("job"):
        show_job(Path(settings().out), job)
    link_to_first_steps()


def _show(entry: Page) -> None:
    try:
        context = choose(entry.view)
    except InputError as error:
        if entry.needs_run:
            st.set_page_config(page_title=f"{entry.title} · servecast")
            st.title(entry.title)
            raise
        context = None
        for text in problem_texts(error):
            st.warning(text, icon=":material/warning:")
    if context is None and entry.needs_run:
        st.set_page_config(page_title=f"{entry.title} · servecast")
        st.title(entry.title)
        _offer_first_run()
        return
    of_run = f" of {context.bundle.path.name}" if context and entry.view != "start" else ""
    st.set_page_config(page_title=f"{entry.title}{of_run} · servecast")
    summary = context.bundle.summary if context else {}
    with shown_in(summary.get("currency")), own_names(names_of(summary)):
        if entry.needs_run and (rate := rate_words()):
            st.caption(markdown(rate))
        import_module(f"dashboard.views.{entry.view}").show(context)
    leave(entry.view)
