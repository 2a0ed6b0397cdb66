"""The frame around every view: a designed message instead of a traceback, and an empty state with a way out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import streamlit as st

from dashboard.context import Context, choose
from simulator.errors import InputError, ServecastError

_LOG = logging.getLogger(__name__)


def with_run(show: Callable[[Context], None]) -> Callable[[], None]:
    """A page that shows the chosen run."""

    def page() -> None:
        context = choose()
        if context is None:
            st.info(
                "No run yet. Start one in the **Scenario** view, or open the dashboard with `servecast dashboard RUNS`."
            )
            return
        show(context)

    return guarded(page, show.__module__)


def guarded(show: Callable[[], None], name: str) -> Callable[[], None]:
    """A page whose errors are told in words."""

    def page() -> None:
        try:
            show()
        except InputError as error:
            for problem in error.problems:
                st.error(str(problem))
        except ServecastError as error:
            _LOG.exception("a law of the simulation was broken")
            st.error(f"A law of the simulation was broken; please report this: {error}")
        except Exception as error:
            _LOG.exception("the view failed")
            st.error(
                f"This view failed ({type(error).__name__}); the server's log says more. The other views still work."
            )

    page.__name__ = name.rsplit(".", 1)[-1]
    return page
