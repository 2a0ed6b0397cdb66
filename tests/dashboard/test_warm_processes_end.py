"""A process of the dashboard's whose server is gone ends without a word."""

from __future__ import annotations

import subprocess
import sys

import pytest

ANSWERS = """
from dashboard.processes import answer_lines
answer_lines(lambda said: said, {given})
"""


@pytest.mark.parametrize(
    "given", ["", "watch=lambda tell: tell('compiling')", "warm_up=lambda: None"], ids=["answer", "watch", "warm"]
)
def test_a_process_whose_server_is_gone_ends_without_a_word(given: str) -> None:
    """It showed a traceback after the server's end: of a broken pipe, through whatever compiled just then."""
    command = [sys.executable, "-c", ANSWERS.format(given=given)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, told = process.communicate(b'{"a": 1}\n')
    assert (process.returncode, told) == (0, b"")
