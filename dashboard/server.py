"""The application behind its headers, as `servecast dashboard` serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from dashboard.gate import Gate
from dashboard.headers import WithHeaders
from dashboard.no_delay import send_at_once
from dashboard.warm import load_first_page

_HEADERS = Middleware(WithHeaders, hosts=st.get_option("server.allowedHosts") or ())


@asynccontextmanager
async def _ready(_: st.App) -> AsyncIterator[dict[str, Any]]:
    load_first_page()
    send_at_once(st.get_option("server.port"))
    yield {}


app = st.App(Path(__file__).with_name("app.py"), middleware=[_HEADERS, Middleware(Gate)], lifespan=_ready)
