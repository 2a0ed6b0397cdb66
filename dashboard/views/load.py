"""Load: does capacity follow demand?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.context import Context
from dashboard.loading import table
from simulator.report.time_charts import load_over_time, rates


def show(context: Context) -> None:
    """Demand, queue, memory and replicas over time by pool; overflow, cold starts and faults counted."""
    st.title("Load")
    st.caption("Does capacity follow demand? Scroll over a chart to zoom in on all of them, drag to move.")
    fleet = table(context.bundle, "fleet")
    own = [name for name in context.topologies if (fleet["topology"] == name).any()]
    if not own:
        st.info("Only token APIs are shown, which have no replicas of yours.", icon=":material/cloud:")
        return
    left, right = st.columns(2)
    topology = left.selectbox("Topology", own, key="load.topology", bind="query-params") or own[0]
    count = int(fleet.loc[fleet["topology"] == topology, "replication"].max()) + 1
    replication = right.selectbox("Replication", list(range(count)), key="load.replication", bind="query-params") or 0
    st.altair_chart(load_over_time(rates(fleet, topology, int(replication))), key="load.chart")
    _pools(context, topology)


def _pools(context: Context, topology: str) -> None:
    """Counts of what happened to the replicas, means over the replications."""
    found = context.topologies[topology]
    st.metric(
        "Requests that overflowed from their first choice", f"{found['metrics']['overflow_share']:.1%}", border=True
    )
    rows = [
        {
            "pool": pool["name"],
            "site": pool["site"],
            "peak replicas": pool["peak_replicas"],
            "launches": pool["launches"],
            "cold start [s]": pool["cold_start_s"],
            "starting [replica-h]": pool["starting_s"] / 3600,
            "failures": pool["failures"],
            "spot reclaims": pool["reclaims"],
            "stock-outs": pool["stockouts"],
            "zone outages": pool["outages"],
        }
        for pool in found["pools"]
    ]
    numbers = ("launches", "cold start [s]", "failures", "spot reclaims", "stock-outs", "zone outages")
    config = {name: st.column_config.NumberColumn(format="%.1f") for name in (*numbers, "starting [replica-h]")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="load.pools", column_config=config)
