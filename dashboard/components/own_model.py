"""A model of one's own, by the config.json that Hugging Face has of it."""

from __future__ import annotations

import re

import streamlit as st

_MAX_MIB = 1
_NAME = "our-model"


def own_model() -> tuple[str, dict[str, bytes]]:
    """Fields for its name and its config.json, uploaded or pasted; the name of the file, and the file."""
    words = "Its `config.json`, as on its page at Hugging Face: shapes are read from it, no weights are needed."
    st.caption(words)
    name, upload, paste = st.columns(3, vertical_alignment="top")
    called = name.text_input("What is it called?", _NAME, 60, key="start.model_name", persist_state="session")
    file = upload.file_uploader("Upload the config.json", type=["json"], key="start.config", max_upload_size=_MAX_MIB)
    pasted = paste.text_area("Or paste it", key="start.config_text", height=130, persist_state="session")
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", called).strip("-.") or _NAME
    content = file.getvalue() if file is not None else pasted.strip().encode()
    return f"{stem}.json", {f"{stem}.json": content} if content else {}
