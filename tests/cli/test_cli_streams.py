"""Commands whose standard streams are closed, full, narrow or of another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWS = "explain engine.max_loras"
REFUSED = "validate no-such.yaml"
SAYS_AT_LEAST = """
from simulator.cli import output, streams
streams.prepare()
output.print_json({"name": "\u2265 1"})
print("\u2265 1")
"""


def ended(arguments: str, redirected: str = "", **variables: str) -> tuple[int, str, str]:
    """Exit code of a command of the shell, and what it wrote to both streams; buffered, as for everybody."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = f"set -o pipefail; {sys.executable} -m simulator.cli {arguments} {redirected}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | variables,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "redirected", "code", "said"),
    [
        (SHOWS, "<&- >&-", 0, ""),
        (REFUSED, "2>&-", 2, ""),
        (REFUSED, "2>/dev/full", 2, ""),
        (SHOWS, ">/dev/full", 2, "servecast: the disk is full\n"),
        (SHOWS, "| true", 0, ""),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_exit_code_but_for_a_full_disk(
    arguments: str, redirected: str, code: int, said: str
) -> None:
    assert ended(arguments, redirected) == (code, "", said)


def test_no_answers_come_from_a_closed_terminal(tmp_path: Path) -> None:
    code, _, said = ended(f"new {tmp_path / 'mine.yaml'} --users 300", "<&-")
    assert (code, said) == (0, "")
    assert (tmp_path / "mine.yaml").is_file()


def test_help_is_told_on_a_terminal_of_one_column() -> None:
    code, shown, _ = ended("cache --help", COLUMNS="1")
    assert code == 0
    assert "--clear" in shown


def test_letters_that_the_encoding_lacks_are_asked_for_or_escaped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAYS_AT_LEAST],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    found, plain = done.stdout.rsplit("}", 1)
    assert json.loads(found + "}") == {"name": "\u2265 1"}
    assert plain.strip() == "? 1"


@pytest.mark.parametrize(("threads", "said"), [("abc", True), ("0", True), ("-2", True), ("", True), (" 2 ", False)])
def test_a_number_of_threads_that_is_none_is_ignored_in_one_line(threads: str, said: bool) -> None:
    """Numba warns of it with a traceback, or ends at it."""
    code, _, told = ended("validate scenarios/quickstart.yaml", NUMBA_NUM_THREADS=threads)
    line = "servecast: NUMBA_NUM_THREADS is no number of threads: it is ignored\n"
    assert (code, told) == (0, line if said else "")
