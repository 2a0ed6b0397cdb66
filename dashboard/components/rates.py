"""What amounts of another run are shown in, where its own currency or rate is not that of the run that is shown."""

from __future__ import annotations

import streamlit as st

from dashboard.components.words import markdown
from dashboard.context import Context
from simulator.money import rate_words, shown_currency, shown_in
from simulator.results.bundle import Bundle


def show_rate(context: Context, other: Bundle) -> None:
    """That the other run's amounts are converted anew, and how it has them itself; nothing where both have the same."""
    its = other.summary.get("currency")
    if its == context.bundle.summary.get("currency"):
        return
    here = shown_currency().code + (" at this run's rate" if rate_words() else "")
    with shown_in(its):
        itself = rate_words() or "Amounts in USD."
    st.caption(markdown(f"Amounts of both runs are shown in {here}. {other.path.name} by itself: {itself}"))
