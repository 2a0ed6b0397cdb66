"""The application: its pages in the order of the questions that a planner asks."""

from __future__ import annotations

import streamlit as st

from dashboard.boundary import with_run
from dashboard.views import overview

st.set_page_config(page_title="servecast", page_icon=":material/query_stats:", layout="wide")

_PAGES = {
    "Decide": [
        st.Page(
            with_run(overview.show), title="Overview", icon=":material/dashboard:", url_path="overview", default=True
        ),
    ],
}

st.navigation(_PAGES).run()
