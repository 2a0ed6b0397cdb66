"""What is wrong, in words that name no folder above those that the server was given."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.components.words import plain
from dashboard.settings import settings
from dashboard.workspace import within
from simulator.cli.problems import first_of
from simulator.errors import InputError


def show_problems(error: InputError) -> None:
    """A box for each problem."""
    for text in problem_texts(error):
        st.error(text, icon=":material/error:")


def problem_texts(error: InputError) -> list[str]:
    """The first problems, with folders of runs named as they were given to the server, whatever is above them."""
    problems = list(error.problems)
    for folder in settings().places:
        problems = [within(Path(folder).parent, problem) for problem in problems]
    first, rest = first_of(problems)
    return [*(plain(str(problem)) for problem in first), *([rest] if rest else [])]
