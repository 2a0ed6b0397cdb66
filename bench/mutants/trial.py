"""A copy of the tree with one change in it, and the tests that run what was changed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.mutants.changes import Change
from bench.mutants.reach import digest, record_of
from bench.mutants.tracing import PACKAGES, ROOT

UNKNOWN_S = 30.0
"""Tests that are not recorded."""
MOST_TIMES = 5
"""Tests that take so many times the CPU seconds that they took when they were recorded, and a minute, have no end."""
WAITS = 20
"""So much longer may pass by the clock, on a machine with other work."""


@dataclass(frozen=True)
class Reach:
    """What one file of tests runs, `path:function`, and how many CPU seconds it takes."""

    test: str
    seconds: float
    functions: frozenset[str]


def files() -> list[Path]:
    """Those of the tree that git knows or would take, relative to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in told.split("\0") if name and (ROOT / name).is_file()]


def test_files() -> list[str]:
    apart = ("tests/cluster/", "tests/documents/", "tests/e2e/", "tests/vllm/")
    names = [path.as_posix() for path in files() if path.name.startswith("test_")]
    return sorted(name for name in names if name.startswith("tests/") and not name.startswith(apart))


def stale(folder: Path) -> list[str]:
    """Files of tests without a record of them as they are now."""
    return [test for test in test_files() if _record(folder, test) is None]


def selected(part: str) -> list[str]:
    """Pytest's options for a part; the quick one is without tests whose kernels `make test` has interpreted."""
    return ["--part", part, *(["-m", "not rare_kernels"] if part == "quick" else [])]


def record(folder: Path, tests: Sequence[str], jobs: int, part: str) -> None:
    """Run a part of `tests` and note what each of their files runs; those that fail get no record."""
    environment = {**os.environ, "MUTANTS_REACH": str(folder), "PYTHONPATH": f"{ROOT / 'bench/mutants/traced'}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "bench.mutants.reach", "-n", str(jobs), "--dist", "loadfile"]
    subprocess.run([*command, *selected(part), *tests], cwd=ROOT, env=environment, check=False)


def reaches(folder: Path) -> list[Reach]:
    """All files of tests, the quickest first; those without a record run nothing that is known."""
    found = []
    for test in test_files():
        told = _record(folder, test) or {"seconds": UNKNOWN_S, "functions": []}
        found.append(Reach(test, told["seconds"], frozenset(told["functions"])))
    return sorted(found, key=lambda reach: (reach.seconds, reach.test))


def _record(folder: Path, test: str) -> dict | None:
    place = record_of(folder, test)
    told = json.loads(place.read_text("utf-8")) if place.is_file() else None
    return told if told is not None and told["digest"] == digest(ROOT / test) else None


def tests_of(change: Change, known: list[Reach], most_s: float) -> tuple[list[Reach], list[Reach]]:
    """Those that run the changed function in `most_s`, those that name its module first, and the others.

    Where no record has the function, as for what stands outside functions: those that run anything of its file, or name
    its module. Tests without a record count where they name the module.
    """
    own, file = f"{change.path}:{change.function}", f"{change.path}:"
    module = change.path.removesuffix(".py").replace("/", ".")
    named = [reach for reach in known if _names(reach.test, module)]
    mine = [reach for reach in known if own in reach.functions]
    if not mine:
        mine = [reach for reach in known if reach in named or any(each.startswith(file) for each in reach.functions)]
    mine += [reach for reach in named if reach not in mine and not reach.functions]
    mine.sort(key=lambda reach: (reach not in named, reach.seconds, reach.test))
    within: list[Reach] = []
    for reach in mine:
        if within and sum(each.seconds for each in within) + reach.seconds > most_s:
            continue
        within.append(reach)
    return within, [reach for reach in mine if reach not in within]


def _names(test: str, module: str) -> bool:
    """Whether a test says that it imports a module."""
    room, _, name = module.rpartition(".")
    text = (ROOT / test).read_text("utf-8")
    return module in text or re.search(rf"from {re.escape(room)} import .*\b{name}\b", text) is not None


@dataclass(frozen=True)
class Tree:
    """A copy of the tree; kernels that are compiled in it stay compiled for the next change."""

    folder: Path

    def bring_up_to_date(self) -> None:
        wanted = set(files())
        for path in wanted:
            target = self.folder / path
            if not target.is_file() or target.read_bytes() != (ROOT / path).read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, target)
        for top in (*PACKAGES, "tests"):
            for path in (self.folder / top).rglob("*.py"):
                if path.relative_to(self.folder) not in wanted:
                    path.unlink()

    def verdict(self, change: Change, tests: Sequence[Reach], part: str) -> tuple[str, str]:
        """What the tests say of a change (`outcome`)."""
        place = self.folder / change.path
        _write(place, change.applied((ROOT / change.path).read_bytes()))
        most_s = 60 + int(MOST_TIMES * sum(reach.seconds for reach in tests))
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        pytest_alone = ["pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no", *selected(part)]
        process = subprocess.Popen(
            [sys.executable, "-m", *pytest_alone, *(reach.test for reach in tests)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 5)),
        )
        try:
            told, _ = process.communicate(timeout=WAITS * most_s)
        except subprocess.TimeoutExpired:
            return "time", ""
        finally:
            _end(process)
            _write(place, (ROOT / change.path).read_bytes())
        return outcome(process.returncode, told)


def outcome(code: int, told: str) -> tuple[str, str]:
    """`noticed` with the first test that failed, `time` where they do not end, `not run` without a test, or `survived`.

    Parameters
    ----------
    code, told : pytest's exit status, negative the signal that ended it, and what it printed
    """
    if code == 0:
        return "survived", ""
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        return "not run", ""
    if code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "time", ""
    failed = [line for line in told.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "noticed", (failed or told.splitlines() or [""])[0][:200]


def _write(source: Path, text: bytes) -> None:
    """A source, without the bytecode of what stood there: it is told apart by whole seconds and length alone."""
    source.write_bytes(text)
    for stale in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        stale.unlink()


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
