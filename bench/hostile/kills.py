"""Commands that are killed while they write: whatever stands there afterwards is whole, and the next one goes on."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import command
from bench.hostile.chat import CHAT, QUIET, Run
from bench.hostile.mutate import text_of

_MOST_CALLS = 90
"""Calls that name the output place, of which one is the last: more than any of these commands makes."""
_MOST_S = 1.5
_GONE_S = 5.0
_POINTS = ".points"
"""Of a sweep that did not end: the points that did."""
_CALLS = ("open", "os.", "shutil.")
_REPORTS = (("md", "memo.md"), ("html", "page.html"), ("xlsx", "bill.xlsx"), ("memo", "memo.html"))


def killed(rng: Random, folder: Path) -> Run:
    """A run, sweep or report, killed at one of its file operations or after some time; then read, then done again."""
    (folder / "chat.yaml").write_text(text_of(CHAT))
    out = folder / "out"
    out.mkdir()
    chat = str(folder / "chat.yaml")
    run_it = ("run", chat, "--out", str(out), *QUIET)
    grid = "workload.classes[0].arrivals.rate_rps=2,3"
    match rng.choice(("run", "again", "sweep", "report")):
        case "run":
            first, arguments = None, run_it
        case "again":
            first, arguments = run_it, run_it
        case "sweep":
            first, arguments = None, ("sweep", chat, "--grid", grid, "--out", str(out), "--quiet", "--jobs", "1")
        case _:
            form, name = rng.choice(_REPORTS)
            first, arguments = run_it, ("report", "{bundle}", "--format", form, "--out", str(out / name))
    fate = (rng.randint(1, _MOST_CALLS), 0.0) if rng.random() < 0.7 else (0, _MOST_S * rng.random())
    return lambda: _through(out, first, arguments, *fate)


def _through(out: Path, first: tuple[str, ...] | None, arguments: tuple[str, ...], calls: int, seconds: float) -> int:
    if first is not None:
        _must(_in_child(out, first))
    arguments = tuple(str(_bundles(out)[0]) if each == "{bundle}" else each for each in arguments)
    before = _contents(out)
    code = _in_child(out, arguments, calls, seconds)
    if code != -signal.SIGKILL:
        _must(code)
    _check_whole(out, before)
    _must(_in_child(out, arguments))
    after = _contents(out)
    hidden = [path.name for path in out.iterdir() if path.name.startswith(".")]
    if hidden:
        raise AssertionError(f"left behind: {sorted(hidden)}")
    _must(_in_child(out, arguments))
    again = _contents(out)
    if other := sorted(name for name in {*again, *after} if again.get(name) != after.get(name)):
        raise AssertionError(f"done again after a kill it gives other bytes: {other}")
    _check_whole(out, after)
    return 0


def _must(code: int) -> None:
    if code not in (0, 1):
        raise AssertionError(f"ended with {code}")


def _in_child(out: Path, arguments: tuple[str, ...], calls: int = 0, seconds: float = 0.0) -> int:
    """Exit code of a command in a process of its own; minus the signal that ended it.

    Parameters
    ----------
    calls : it kills itself at so manieth file operation below `out`; 0 never
    seconds : it is killed after this time; 0 never
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        if calls:
            _die_at(out, calls)
        code = 3
        try:
            code = command(*arguments)()
        finally:
            os._exit(code)
    if seconds:
        threading.Timer(seconds, _kill, (child,)).start()
    _, status = os.waitpid(child, 0)
    _check_gone(child)
    return os.waitstatus_to_exitcode(status)


def _kill(child: int) -> None:
    with_it = Path(f"/proc/{child}")
    if with_it.exists():
        os.kill(child, signal.SIGKILL)


def _die_at(out: Path, calls: int) -> None:
    left = [calls]
    place = str(out)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_CALLS) and any(place in each for each in arguments[:2] if isinstance(each, str)):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _check_gone(group: int) -> None:
    """Nothing that it started lives on."""
    end_s = time.monotonic() + _GONE_S
    while time.monotonic() < end_s:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("processes live on")


def _bundles(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("[!.]*/manifest.json") if path.parent.suffix != ".partial")


def _check_whole(out: Path, before: dict[str, str]) -> None:
    """Every bundle that can be seen is complete by its checksums; every other file is what it was, or whole and new."""
    from simulator.results.seal import MANIFEST

    for folder in (path for path in out.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if folder.suffix == _POINTS:
            continue
        if not (folder / MANIFEST).is_file():
            raise AssertionError(f"a folder without a manifest: {folder.name}")
        _must(_in_child(out, ("verify", "bundle", str(folder))))
    for name, digest in before.items():
        if Path(name).suffix in (".md", ".html", ".xlsx") and _contents(out).get(name) != digest:
            raise AssertionError(f"changed: {name}")
        if not (out / name).is_file():
            raise AssertionError(f"lost: {name}")


def _contents(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "timing.json" and not path.relative_to(out).parts[0].startswith(".")
    }
