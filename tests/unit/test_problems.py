"""What is said of bad input: the first ten problems, the number of the rest, short, and nothing a terminal obeys."""

from __future__ import annotations

import errno
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

from simulator.cli.main import run_command
from simulator.cli.problems import in_words, of_system, told
from simulator.errors import InputError, InvariantError, Problem, unknown_name
from simulator.schema.checked import checked
from simulator.workload.trace_file import load_trace


class Shape(BaseModel):
    """A list of numbers, and a name."""

    values: list[float]
    name: str


@pytest.mark.parametrize(("wrong", "last"), [(1, None), (10, None), (11, "and 1 more"), (1500, "and 1,490 more")])
def test_the_first_ten_entries_of_a_file_are_told_and_how_many_more_there_are(wrong: int, last: str | None) -> None:
    with pytest.raises(InputError) as refused:
        checked(Shape, {"values": ["x"] * wrong, "name": "a"}, "mine.json")
    assert len(refused.value.problems) == wrong
    lines = in_words(refused.value).split("\n")
    assert lines[0].startswith("mine.json: values[0]: must be a valid number")
    assert len(lines) == min(wrong, 10) + (last is not None)
    assert last is None or lines[-1] == last


def test_what_is_missing_is_told_by_its_place() -> None:
    with pytest.raises(InputError) as refused:
        checked(Shape, {"values": [1]}, "mine.json")
    assert in_words(refused.value) == "mine.json: name: is missing"
    with pytest.raises(InputError) as refused:
        checked(Shape, [], "mine.json")
    assert refused.value.problems[0].path is None


@pytest.mark.parametrize(
    ("field", "most", "ends"), [("message", 600, "…"), ("file", 200, "…"), ("path", 200, "…"), ("got", 60, "…")]
)
def test_each_part_is_cut_where_it_is_too_long(field: str, most: int, ends: str) -> None:
    for length, shown in ((most, "x" * most), (most + 1, "x" * most + ends)):
        found = told(Problem(**{"message": "m", field: "x" * length}))
        assert getattr(found, field) == shown
    assert told(Problem("m")) == Problem("m")


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert in_words(InputError(Problem("bell\x07 and\x1b[31m red", got="a\nb"))).startswith(
        "bell\\x07 and\\x1b[31m red"
    )
    assert in_words(InvariantError("x" * 7000)) == "x" * 6000 + "…"


def test_what_the_system_refuses_is_told_with_its_files() -> None:
    assert of_system(OSError(errno.ENOSPC, "No space left", "a.txt")) == "a.txt: the disk is full"
    assert of_system(OSError(errno.EDQUOT, "Quota", "a.txt")) == "a.txt: the disk is full"
    assert of_system(OSError(errno.EACCES, "Permission denied", "a", None, "b")) == "a and b: Permission denied"
    assert of_system(OSError("no number")) == "no number"


@pytest.mark.parametrize(
    ("wrong", "last"), [(10, None), (15, "and 5 more"), (20, "and at least 10 more"), (500, "and at least 10 more")]
)
def test_rows_behind_those_that_were_looked_at_are_not_counted(wrong: int, last: str | None, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{k},10,no\n" for k in range(wrong)))
    with pytest.raises(InputError) as refused:
        load_trace(file)
    lines = in_words(refused.value).split("\n")
    assert len(lines) == min(wrong, 10) + (last is not None)
    assert last is None or lines[-1] == last
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="--column arrival_s="):
        load_trace(file)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (InputError("no"), 2, "no\n"),
        (
            InvariantError("more out than in"),
            3,
            "a law of the simulation was broken; please report this: more out than",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 0, ""),
        (OSError(errno.ENOSPC, "No space left on device", "out"), 2, "out: the disk is full"),
        (MemoryError(), 2, "needs more memory than there is: make it smaller"),
        (1, 1, ""),
        (None, 0, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_ends_a_command_is_its_exit_code(
    raised: object, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(*_: object, **__: object) -> object:
        if isinstance(raised, BaseException):
            raise raised
        return raised

    monkeypatch.setattr(import_module("simulator.cli.main"), "app", ends)
    assert run_command(["validate", "x.yaml"]) == code
    told = capsys.readouterr().err
    assert said in told
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("a", [], "none is known"),
        ("a", ["a1"], "did you mean 'a1'?"),
        ("a", ["a1", "a2"], "did you mean 'a1' or 'a2'?"),
        ("A", ["a5", "a4", "a3", "a2", "a1"], "did you mean 'a1', 'a2', 'a3', 'a4' or 'a5'?"),
        ("a", ["a5", "a4", "a3", "a2", "a1", "a60"], "did you mean 'a1', 'a2', 'a3', 'a4', 'a5' or 1 others?"),
        ("h200-sxm", ["h100-sxm", "h200"], "did you mean 'h200'?"),
        ("xyz", ["b", "a"], "known are a, b"),
        ("xyz", [f"{k}" for k in range(40)], f"known are {', '.join(sorted(map(str, range(40))))}"),
        ("xyz", [f"{k}" for k in range(41)], "none of the 41 known names is close"),
    ],
)
def test_a_name_that_nobody_has_is_met_with_those_that_may_be_meant(name: str, known: list[str], said: str) -> None:
    assert unknown_name("GPU", name, known) == f"unknown GPU {name!r}: {said}"
