"""Small wrong changes of the code, as `make test-mutants` makes them."""

from __future__ import annotations

from pathlib import Path
from types import CodeType

import pytest

from bench.mutants import tracing, trial
from bench.mutants.__main__ import APART, _Kept, by_room, listed, outdated
from bench.mutants.changes import changes, compiles
from bench.mutants.trial import Reach, outcome

CASES = [
    ("a < b", {"a <= b", "a >= b"}),
    ("a is not b", {"a is b"}),
    ("a - b * c", {"a + b * c", "a - b / c"}),
    ('f"{a}" + b', set()),
    ("a and not b", {"a or not b", "a and bool(b)"}),
    ("3", {"4"}),
    ("0.5", {"1.0"}),
    ("-1", {"(+1)", "-2"}),
    ("True", {"False"}),
    ("min(a, b)", {"max(a, b)"}),
    ("min(a, b, key=c)", {"max(a, b, key=c)", "min(b, a, key=c)"}),
    ("np.maximum(a, b)", set()),
    ("a.max(b, c)", {"a.min(b, c)"}),
    ("f(a, b)", {"f(b, a)"}),
    ("a.max()", {"a.min()"}),
    ("a if b else c", {"(c) if b else (a)"}),
    ("isinstance(a, int)", set()),
    ("zip(a, strict=True)", set()),
    ("é < b", {"é <= b", "é >= b"}),
]


@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[each for each, _ in CASES])
def test_an_expression_becomes(expression: str, expected: set[str]) -> None:
    source = f"x = {expression}\n".encode()
    found = {each.applied(source).decode() for each in changes("a.py", source)}
    assert found == {f"x = {each}\n" for each in expected}


def test_conditions_returns_and_calls_are_changed_where_they_stand() -> None:
    source = b"""
def f(a: int = 1) -> int:
    if a > 2:
        raise ValueError
    if a:
        g(a)
    n += 1
    return a
"""
    found = {(each.kind, each.line, each.old, each.new): each for each in changes("a.py", source)}
    assert {each.function for each in found.values()} == {"f"}
    assert ("condition", 3, "a > 2", "False") in found
    assert ("condition", 5, "a", "not (a)") in found
    assert ("left out", 6, "g(a)", "pass") in found
    assert ("arithmetic", 7, "+=", "-=") in found
    assert ("return", 8, "a", "None") in found
    assert ("constant", 2, "1", "2") in found
    assert all(compiles(each.applied(source)) for each in found.values())
    assert not compiles(b"return = 3")


def test_what_only_checkers_of_types_see_stays() -> None:
    source = b"""
from typing import TYPE_CHECKING, Literal
if TYPE_CHECKING:
    a = 1
@decorated(1)
def f(x: Literal[1, 2]) -> Literal[3]: ...
"""
    assert changes("a.py", source) == []


@pytest.mark.parametrize(
    ("code", "told", "expected"),
    [
        (0, "3 passed", ("survived", "")),
        (1, ".F\nFAILED tests/a.py::b\n1 failed", ("noticed", "FAILED tests/a.py::b")),
        (2, "ERROR tests/a.py\nInterrupted", ("noticed", "ERROR tests/a.py")),
        (5, "3 deselected", ("not run", "")),
        (-24, "", ("time", "")),
        (-9, "", ("time", "")),
    ],
)
def test_what_pytest_says_of_a_change(code: int, told: str, expected: tuple[str, str]) -> None:
    assert outcome(code, told) == expected


def test_what_was_noticed_holds_as_long_as_the_test_that_noticed_it(tmp_path: Path) -> None:
    this = Path(__file__).relative_to(Path(__file__).parents[2]).as_posix()
    kept = _Kept(tmp_path / "results.jsonl")
    kept.add("a", "tests", {"outcome": "noticed", "by": f"FAILED {this}::test_a - assert"})
    kept.add("b", "tests", {"outcome": "survived", "by": ""})
    kept.add("c", "tests", {"outcome": "noticed", "by": "a crash"})
    kept.path.write_text(kept.path.read_text() + '{"key": "cut o')
    again = _Kept(kept.path)
    assert [again.known(key, "tests") is not None for key in "abcd"] == [True, True, True, False]
    assert [again.known(key, "other tests") is not None for key in "abc"] == [True, False, False]
    again.results["a"]["noticed_with"] = "another version of it"
    assert again.known("a", "other tests") is None


def test_each_source_is_in_one_room_and_no_kernel_in_any() -> None:
    rooms = by_room()
    paths = [path for each in rooms.values() for path in each]
    assert len(set(paths)) == len(paths)
    assert {"simulator", "simulator/run", "calibrate", "dashboard", *APART} < set(rooms)
    assert {path.name for path in rooms["calibrate/driver"]} >= {"session.py"}
    assert not [path for path in rooms["calibrate"] if "driver" in path.parts]
    assert not [path for path in paths if path.name == "loop.py" and path.parent.name == "fleet"]


def test_bodies_of_classes_are_run_by_whoever_imports_first_and_by_no_test(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "class One:\n    a: int = 1\n    def two(self):\n        return [x for x in range(3)]\ndef three():\n    pass\n"
    )
    place = tracing.ROOT / "simulator/made_up.py"
    seen: set[CodeType] = set()
    waiting = [compile(source, str(place), "exec")]
    while waiting:
        code = waiting.pop()
        seen.add(code)
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    names = {
        "One": "One",
        "two": "One.two",
        "three": "three",
        "<module>": "<module>",
        "<listcomp>": "One.two.<listcomp>",
    }
    monkeypatch.setattr(tracing, "SEEN", {code.replace(co_qualname=names[code.co_name]) for code in seen})
    assert tracing.functions() == ["simulator/made_up.py:One.two", "simulator/made_up.py:three"]


def test_a_change_is_tried_with_the_tests_that_run_it_or_name_its_module_named_ones_first() -> None:
    """This file names `simulator.made_up` and runs nothing that is recorded; of the others one runs the function."""
    this = Path(__file__).relative_to(tracing.ROOT).as_posix()
    other, slow = "tests/unit/test_parts.py", "tests/unit/test_jit.py"
    (change,) = (each for each in changes("simulator/made_up.py", b"def f():\n    return 1\n") if each.new == "2")
    unrecorded = Reach(this, 30.0, frozenset())
    runs, costly = (Reach(test, s, frozenset({"simulator/made_up.py:f"})) for test, s in ((other, 1.0), (slow, 90.0)))
    beside = Reach(other, 1.0, frozenset({"simulator/made_up.py:g"}))
    assert trial.tests_of(change, [runs, costly, unrecorded], 100.0) == ([unrecorded, runs], [costly])
    assert trial.tests_of(change, [beside, unrecorded], 100.0) == ([unrecorded, beside], [])
    assert trial.tests_of(change, [runs], 0.1) == ([runs], []), "one is always tried"
    elsewhere = Reach(other, 1.0, frozenset({"simulator/jit.py:kernel"}))
    assert trial.tests_of(change, [elsewhere], 100.0) == ([], [])


def test_changes_of_no_effect_are_listed_with_their_reasons_and_outdated_ones_are_found() -> None:
    found = listed()
    assert found
    assert all(isinstance(reason, str) and reason for reason in found.values())
    (own,) = (name for name in found if name.startswith("simulator/run/simulate.py:simulate: 1 → 2"))
    assert outdated([own]) == []
    gone = [own.replace("1 → 2", "1 → 3"), "simulator/none.py:f: 1 → 2 in `a = 1`"]
    assert outdated([own, *gone]) == gone
