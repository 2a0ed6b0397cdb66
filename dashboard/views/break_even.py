"""Break-even: when does owning win?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.table import show_table
from dashboard.components.words import sentence
from dashboard.context import Context
from dashboard.loading import decision
from simulator.report.cost_charts import cumulative_spending
from simulator.report.decision import PAIR_HEADERS, Decision, decision_notes, pair_rows
from simulator.report.decision_charts import volumes_chart
from simulator.report.draw_charts import intervals, swings


def show(context: Context) -> None:
    """When each topology costs less than each rival that meets the SLO, and what would flip the winner."""
    st.title("Break-even")
    st.caption("When does owning win? Each topology against each rival that meets the SLO, as the run decided it.")
    decided = decision(context.bundle)
    _pairs(decided, context)
    st.header("Why, and what would flip it")
    for note in decision_notes(decided, list(context.topologies)):
        st.markdown(f"- {sentence(note)}")
    st.header("Against the months")
    spending = cumulative_spending(context.topologies, context.names)
    show_chart(spending, "break_even.months", "spending up to each month, by topology")
    st.caption("As it is paid, at the prices of today.")
    _tornado(context)
    if any(found["uncertainty"] for found in context.topologies.values()):
        st.header("How sure the monthly cost is")
        drawn = intervals(context.topologies, context.names)
        show_chart(drawn, "break_even.intervals", "intervals of the monthly cost, by topology")


def _pairs(decided: Decision, context: Context) -> None:
    rows = pair_rows(decided, list(context.topologies))
    if not rows:
        st.info("No rival meets the SLO, so there is nothing to break even with.", icon=":material/balance:")
        return
    frame = pd.DataFrame(rows, columns=["topology", *PAIR_HEADERS[1:]])
    show_table(frame, key="break_even.pairs", height="content")
    st.caption(
        "From month: payments stay below the rival's, resale not counted. Hours of use a day: above them it costs "
        "less than renting the rival for these hours alone. Load: as a multiple of the load of the run."
    )
    chart = volumes_chart(decided, context.names, list(context.topologies))
    if chart is None:
        st.caption(
            "Loads other than the run's were not tried. The button *Search the sizes* on the page Sizing tries them, "
            "and so does `servecast run SCENARIO --explore-s 60`."
        )
        return
    st.header("Against the load")
    show_chart(chart, "break_even.volume", "cost at the loads that were tried, by topology")


def _tornado(context: Context) -> None:
    known = [name for name, found in context.topologies.items() if found["tornado"]]
    if not known:
        st.caption("No input has a range, so nothing can be said of what would move the costs.")
        return
    st.header("What would move it")
    name = st.selectbox("Topology", known, key="break_even.topology", bind="query-params") or known[0]
    tornado = swings(name, context.topologies[name]["tornado"])
    show_chart(tornado, "break_even.tornado", f"what moves the monthly cost of {name}")
