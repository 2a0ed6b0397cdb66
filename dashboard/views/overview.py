"""Overview: which topology, and how sure?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.context import Context
from simulator.report.table import comparison, warning_lines


def show(context: Context) -> None:
    """Verdict, comparison and warnings of the run."""
    st.title(context.bundle.summary["scenario"])
    st.success(context.bundle.summary["verdict"])
    rows, headers = comparison(context.topologies)
    st.dataframe(pd.DataFrame(rows, columns=headers), hide_index=True, key="overview.table")
    for line in warning_lines(context.topologies, width=10_000):
        st.warning(line.removeprefix("! "))
