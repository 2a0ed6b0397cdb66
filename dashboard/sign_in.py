"""Signing in with an OpenID Connect provider, by what Streamlit has for it."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from simulator.errors import InputError, Problem
from simulator.results.inputs import input_text

_KEYS = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_CALLBACK = "/oauth2callback"
_LEAST_SECRET = 32
"""Characters of a cookie's secret that nobody guesses."""


def check_provider(file: Path) -> None:
    """Whether Streamlit can send visitors to the provider that a file names.

    Raises
    ------
    InputError : the file cannot be read, a key is missing or cannot be right, or Authlib is not installed
    """
    if find_spec("authlib") is None:
        raise InputError("signing in needs Authlib: pip install 'servecast[sign-in]'")
    try:
        auth = tomllib.loads(input_text(file)).get("auth")
    except tomllib.TOMLDecodeError as error:
        raise InputError(Problem(f"is not TOML: {error}", str(file))) from error
    if not isinstance(auth, dict):
        raise InputError(Problem(f"has no section [auth], with {', '.join(_KEYS)}", str(file)))
    missing = [
        Problem(f"auth.{key}: must be given, as text", str(file)) for key in _KEYS if not _is_text(auth.get(key))
    ]
    if missing:
        raise InputError(*missing)
    if not urlsplit(auth["redirect_uri"]).path.endswith(_CALLBACK):
        raise InputError(Problem(f"auth.redirect_uri: must end in {_CALLBACK}", str(file)))
    if len(auth["cookie_secret"]) < _LEAST_SECRET:
        raise InputError(Problem(f"auth.cookie_secret: must have at least {_LEAST_SECRET} characters", str(file)))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_signed_in() -> bool:
    """Whether the visitor has signed in, with the way to do so, or to sign out again."""
    if st.user.is_logged_in:
        st.sidebar.button("Sign out", key="sign_out", icon=":material/logout:", on_click=st.logout)
        return True
    st.title("servecast")
    st.button("Sign in", key="sign_in", type="primary", icon=":material/login:", on_click=st.login)
    return False
