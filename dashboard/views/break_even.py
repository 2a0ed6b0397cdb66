"""Break-even: when does owning win?"""

from __future__ import annotations

import streamlit as st

from dashboard.context import Context
from dashboard.loading import table
from simulator.report.break_even_charts import intervals, swings, volume_lines
from simulator.report.cost_charts import cumulative_spending
from simulator.report.money import money_notes


def show(context: Context) -> None:
    """Cost against volume and months, and what would move it."""
    st.title("Break-even")
    st.caption("When does owning win? Left of a crossing the one line is cheaper, right of it the other.")
    for note in money_notes(context.topologies):
        st.markdown(f"- {note}".replace("$", "\\$"))
    _curves(context)
    st.subheader("Against the months")
    st.altair_chart(cumulative_spending(context.topologies, context.names), key="break_even.months")
    st.caption("As it is paid, at the prices of today; bands of the draws are on the volume.")
    _tornado(context)
    if any(found["uncertainty"] for found in context.topologies.values()):
        st.subheader("How sure the monthly cost is")
        st.altair_chart(intervals(context.topologies, context.names), key="break_even.intervals")


def _curves(context: Context) -> None:
    curves = table(context.bundle, "break_even")
    st.subheader("Against the volume")
    st.altair_chart(volume_lines(curves, context.topologies, context.names), key="break_even.volume")
    st.caption(
        "Dots: the run's own volume; dotted: where owning breaks "
        "even. Pale bands hold 90 % of the draws of prices. An autoscaled or rented pool counts as paid by use."
    )


def _tornado(context: Context) -> None:
    known = [name for name, found in context.topologies.items() if found["tornado"]]
    if not known:
        st.caption("No input has a range, so nothing can be said of what would move the costs.")
        return
    st.subheader("What would move it")
    name = st.selectbox("Topology", known, key="break_even.topology", bind="query-params") or known[0]
    st.altair_chart(swings(name, context.topologies[name]["tornado"]), key="break_even.tornado")
