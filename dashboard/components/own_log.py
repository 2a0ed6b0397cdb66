"""A log of requests of one's own, uploaded."""

from __future__ import annotations

import re

import streamlit as st

from dashboard.components.answer_field import Given, question_words
from dashboard.limits import MAX_UPLOADED_BYTES
from simulator.questions.answers import Asked
from simulator.workload.pieces import ENDINGS, PACKINGS

_ENDINGS = [ending.removeprefix(".") for ending in (*ENDINGS, *PACKINGS)]
_NAMED_OF = r"[^A-Za-z0-9_.-]+"
_MAX_MIB = MAX_UPLOADED_BYTES // 2**20


def own_log(question: Asked, given: Given) -> dict[str, bytes]:
    """A field for the log; its file, whose name goes into `given`."""
    file = st.file_uploader(question_words(question), type=_ENDINGS, key="start.trace", max_upload_size=_MAX_MIB)
    st.caption(
        "With the columns `arrival_s`, `input_tokens` and `output_tokens`, or the names that common servers and "
        "APIs have for them. Columns of conversations and of cached tokens say what prompts share. "
        f"Beyond {_MAX_MIB} MiB `servecast new mine.yaml --trace FILE` reads logs of any size."
    )
    if file is None:
        return {}
    name = re.sub(_NAMED_OF, "-", file.name).strip("-.")[-100:]
    given[question.name] = name
    return {name: file.getvalue()}
