"""`--help` describes every command and every option, with examples that parse."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from inspect import getdoc

import pytest
from cyclopts import App

from simulator.cli.main import app


def _commands(group: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        yield from [((*path, name), command)] if command.default_command else _commands(command, (*path, name))


COMMANDS = dict(_commands(app))
BARE = {("schema",)}
"""Commands that take nothing, so that their name is the example."""


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_described(path: tuple[str, ...]) -> None:
    arguments = COMMANDS[path].assemble_argument_collection(parse_docstring=True)
    assert not [argument.name for argument in arguments if argument.show and not argument.parameter.help]


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in BARE], ids=" ".join)
def test_every_command_has_examples_that_parse(path: tuple[str, ...]) -> None:
    text = getdoc(COMMANDS[path].default_command) or ""
    examples = [line.strip() for line in text.splitlines() if line.startswith("    servecast ")]
    assert examples
    for example in examples:
        words = shlex.split(example)[1:]
        assert tuple(words[: len(path)]) == path
        command, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert command is COMMANDS[path].default_command


@pytest.mark.parametrize("group", [(), *sorted({path[:-1] for path in COMMANDS if len(path) > 1})], ids=" ".join)
def test_the_list_says_what_each_command_does(group: tuple[str, ...]) -> None:
    words = "import sys; from simulator.cli.main import _run; _run(sys.argv[1:])"
    shown = subprocess.run(
        [sys.executable, "-c", words, *group, "--help"], capture_output=True, text=True, check=True
    ).stdout
    for path, command in COMMANDS.items():
        if path[:-1] == group:
            told = shown.split(f"│ {path[-1]} ")[1].splitlines()[0]
            assert (getdoc(command.default_command) or "").split()[0] in told
