"""Break-even: when does owning win?"""

from __future__ import annotations

import streamlit as st

from dashboard.context import Context
from simulator.report.break_even_charts import intervals, swings, volume_lines
from simulator.report.cost_charts import cumulative_spending
from simulator.report.money import money_notes


def show(context: Context) -> None:
    """Cost against volume, over months, and what would move it."""
    st.title("Break-even")
    st.caption("When does owning win? Left of a crossing the one line is cheaper, right of it the other.")
    for note in money_notes(context.topologies):
        st.markdown(f"- {note}".replace("$", "\\$"))
    st.subheader("Against the volume")
    _volume(context)
    st.subheader("Against the months")
    st.altair_chart(cumulative_spending(context.topologies, context.names), key="break_even.months")
    if any(found.get("uncertainty") for found in context.topologies.values()):
        st.subheader("How sure")
        st.altair_chart(intervals(context.topologies, context.names), key="break_even.intervals")
    _tornado(context)


def _volume(context: Context) -> None:
    if not all("usage_usd_per_month" in found["cost"] for found in context.topologies.values()):
        st.info(
            "This run does not say what is paid by use; run its scenario again to see it.", icon=":material/history:"
        )
        return
    st.altair_chart(volume_lines(context.topologies, context.names), key="break_even.volume")
    st.caption(
        "What is paid whatever the volume, with the capacity of the run, and what is paid by use; dots: the run's "
        "volume. An autoscaled pool counts as paid by use. A volume that the fleet cannot serve is not ruled out."
    )


def _tornado(context: Context) -> None:
    known = [name for name, found in context.topologies.items() if found.get("tornado")]
    if not known:
        st.caption("No draws were made (cost.draws is 0), so nothing can be said of what would move the costs.")
        return
    st.subheader("What would move it")
    name = st.selectbox("Topology", known, key="break_even.topology", bind="query-params") or known[0]
    st.altair_chart(swings(name, context.topologies[name]["tornado"]), key="break_even.tornado")
