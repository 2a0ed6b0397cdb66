"""Who asks, so that the many things that one visitor asks for hold up nobody else."""

from __future__ import annotations

import hashlib

import streamlit as st

_BROWSER = "_streamlit_xsrf"
"""Cookie by which Streamlit knows a browser again."""


def visitor() -> str:
    """A word for who asks: by address, or by browser where the address is that of the machine itself.

    A proxy on the machine may tell the address it was asked from, as the last of `X-Forwarded-For`; what others send
    under that name counts for nothing. The word is a hash, since everybody may read the folder of runs.
    """
    address = st.context.ip_address
    if address is None or address in ("127.0.0.1", "::1"):
        told = (st.context.headers.get("X-Forwarded-For") or "").rpartition(",")[2].strip()
        address = told or f"browser {st.context.cookies.get(_BROWSER, '')}"
    return hashlib.sha256(str(address).encode()).hexdigest()[:12]
