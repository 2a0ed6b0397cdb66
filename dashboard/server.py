"""The application behind its headers, as `servecast dashboard` serves it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard.headers import WithHeaders

_HEADERS = Middleware(WithHeaders, hosts=st.get_option("server.allowedHosts") or ())
app = st.App(Path(__file__).with_name("app.py"), middleware=[_HEADERS])
