"""The answer of a What-if, waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.compiling import COMPILING
from dashboard.loading import stamp
from dashboard.previews import preview
from dashboard.processes import STARTING
from dashboard.visitor import visitor

_BEFORE_IT_CAN = {
    STARTING: "The simulator is starting, as this server has just begun. The answer follows by itself.",
    COMPILING: (
        "Kernels are compiled for a kind of fleet that is new on this machine: one to four minutes, once. The answer "
        "follows by itself."
    ),
}
"""What a visitor is told that waits, by what a process does."""


def answer(folder: Path, sets: tuple[str, ...]) -> dict[str, Any]:
    """What comes of the change; while it cannot be simulated yet, why."""
    place = st.empty()

    def tell(doing: str) -> None:
        if doing:
            place.info(_BEFORE_IT_CAN[doing], icon=":material/hourglass_top:")
        else:
            place.empty()

    with st.spinner("Simulating"):
        found = preview(folder, stamp(folder), sets, visitor(), tell)
    place.empty()
    return found
