"""Who asks, so that the many things that one visitor asks for hold up nobody else."""

from __future__ import annotations

import hashlib

import streamlit as st

from dashboard.settings import settings

_BROWSER = "_streamlit_xsrf"
"""Cookie by which Streamlit knows a browser again."""


def visitor() -> str:
    """A word for who asks: the user who signed in; else by address, or by browser where that is of the machine itself.

    A proxy on the machine may tell the address it was asked from, as the last of `X-Forwarded-For`; what others send
    under that name counts for nothing. The word is a hash, since everybody may read the folder of runs.
    """
    if settings().sign_in:
        return _word(f"user {st.user.get('iss')} {st.user.get('sub')}")
    address = st.context.ip_address
    if address is None or address in ("127.0.0.1", "::1"):
        told = (st.context.headers.get("X-Forwarded-For") or "").rpartition(",")[2].strip()
        address = told or f"browser {st.context.cookies.get(_BROWSER, '')}"
    return _word(str(address))


def _word(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
