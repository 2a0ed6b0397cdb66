"""Who asks, so that the many things that one visitor asks for hold up nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from dashboard.allowance import Asker
from dashboard.settings import settings

BROWSER = "_streamlit_xsrf"
"""Cookie by which Streamlit knows a browser again."""
FORWARDED = "X-Forwarded-For"
_OWN = ("127.0.0.1", "::1")


def visitor() -> str:
    """A word for who asks: the user who signed in; else by address, or by browser where that is of the machine itself.

    A proxy on the machine may tell the address it was asked from, as the last of `X-Forwarded-For`; what others send
    under that name counts for nothing. The word is a hash, since everybody may read the folder of runs.
    """
    if settings().sign_in:
        return _user()
    told = _address(st.context.ip_address, st.context.headers.get_all(FORWARDED))
    return _word(told or f"browser {st.context.cookies.get(BROWSER, '')}")


def asker() -> Asker:
    """Who asks for the page that runs; who signed in is one, from wherever."""
    if settings().sign_in and st.user.is_logged_in:
        return Asker(_user(), _user())
    return asker_of(st.context.ip_address, st.context.headers.get_all(FORWARDED), st.context.cookies.get(BROWSER) or "")


def asker_of(address: str | None, forwarded: Sequence[str], browser: str) -> Asker:
    """Who asks, from what a connection says of itself.

    Parameters
    ----------
    forwarded : every header `FORWARDED`, in order; the last is that of the proxy next to the server
    browser : cookie `BROWSER`
    """
    told = _address(address, forwarded) or "this machine"
    return Asker(_word(told), _word(f"{told} {browser}"))


def _address(address: str | None, forwarded: Sequence[str]) -> str:
    """Address that is asked from; none where that is the machine itself."""
    if address is None or address in _OWN:
        return ",".join(forwarded).rpartition(",")[2].strip()
    return str(address)


def _user() -> str:
    return _word(f"user {st.user.get('iss')} {st.user.get('sub')}")


def _word(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
