"""Commands that are killed while they write: whatever stands there afterwards is whole, and the next one goes on."""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import ROOT, command, unbounded
from bench.hostile.chat import CHAT, Run
from bench.hostile.mutate import text_of

_MOST_CALLS = 90
"""Calls that name the output place, of which one is the last: more than any of these commands makes."""
_MOST_S = 1.5
_GONE_S = 5.0
_HANGS_S = 120.0
_SIGNS = ("Traceback", "Exception ignored", "Fatal Python error")
"""Of an error that nobody caught, and of a command that hangs."""
_POINTS = ".points"
"""Of a sweep that did not end: the points that did."""
_PARTIAL = ".partial"
"""Of a run that was interrupted: what it had written."""
_CALLS = ("open", "os.", "shutil.")
_REPORTS = (("md", "memo.md"), ("html", "page.html"), ("xlsx", "bill.xlsx"), ("memo", "memo.html"))
_WHOLE_OR_NOT = (".md", ".html", ".xlsx", ".json", ".yaml", ".parquet")
_INTERRUPTED = 130
_STEPS = ROOT / "tests" / "data" / "vllm-runs" / "small-llama-cpu.json"
_MOST_STEPS = 150
_DATA = ROOT / "tests" / "data"
_ASKED = (
    ("cache",),
    ("cache", "--clear"),
    ("verify", "bundle", "{bundle}"),
    ("verify", "schedule", str(_DATA / "vllm-schedule-traces" / "plain.json"), "--engine", "reference"),
    ("memory", "--table", "{questions}"),
    ("traces", str(_DATA / "traces" / "table.csv")),
)
"""What is only asked; nothing but a cache may be written."""
_JOB: dict[str, Any] = {
    "workload": {
        "classes": [
            {
                "name": "documents",
                "arrivals": {"kind": "job", "requests": 300, "deadline_s": 600},
                "lengths": {"isl": 300, "osl": 40},
            }
        ]
    },
    "topologies": {"own": CHAT["topologies"]["own"]},
    "run": {"horizon_s": 600, "replications": 1},
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What ends a command before it is done.

    Attributes
    ----------
    calls : the signal comes at so manieth file operation below the case's folder; 0 never
    seconds : it comes after this time; 0 never
    how : SIGINT goes to the whole group, as Ctrl-C of a terminal does
    """

    calls: int = 0
    seconds: float = 0.0
    how: signal.Signals = signal.SIGKILL


_NONE = Fate()


def killed(rng: Random, folder: Path) -> Run:
    """A command that writes, ended at one of its file operations or after some time; then read, then done again."""
    out = folder / "out"
    out.mkdir()
    for name in ("cache", "tmp"):
        (folder / name).mkdir()
    steps = json.loads(_STEPS.read_text(encoding="utf-8"))
    (folder / "questions.csv").write_text("id,model,gpu\n" + "".join(f"q{k},qwen3-14b,h100-sxm\n" for k in range(20)))
    (folder / "steps.json").write_text(json.dumps({**steps, "profile_steps": steps["profile_steps"][:_MOST_STEPS]}))
    for name, scenario in (("chat", CHAT), ("job", CHAT | _JOB)):
        (folder / f"{name}.yaml").write_text(text_of(scenario))
    chat, jobs = str(folder / "chat.yaml"), rng.choice("12")
    common = ("--quiet", "--jobs", jobs)
    run_it = ("run", chat, "--out", str(out), "--no-advice", *common)
    grid = "workload.classes[0].arrivals.rate_rps=2,3"
    first = None
    match rng.choice(("run", "job", "again", "sweep", "plan", "fit", "report", "shard", "written", "asked")):
        case "run":
            arguments = run_it
        case "job":
            arguments = ("run", str(folder / "job.yaml"), "--out", str(out), *common)
        case "again":
            first, arguments = run_it, run_it
        case "sweep":
            arguments = ("sweep", chat, "--grid", grid, "--out", str(out), *common)
        case "plan":
            arguments = ("plan", chat, "--topology", "own", "--gpu", "h100-sxm,l40s", "--quiet")
        case "fit":
            arguments = ("calibrate", "fit", str(folder / "steps.json"), "--out", str(out / "fit.json"))
            arguments = (*arguments, "--plots", str(out / "fit.html"))
        case "shard":
            shard = ("sweep", chat, "--grid", grid, "--shard", "1/1", "--out", str(out), *common)
            first, arguments = shard, ("merge", "{bundle}", "--out", str(out))
        case "written":
            first, arguments = run_it, rng.choice(_writers(out))
        case "asked":
            questions = str(folder / "questions.csv")
            asked = rng.choice(_ASKED)
            first, arguments = run_it, tuple(questions if each == "{questions}" else each for each in asked)
        case _:
            form, name = rng.choice(_REPORTS)
            first, arguments = run_it, ("report", "{bundle}", "--format", form, "--out", str(out / name))
    how = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    fate = Fate(calls=rng.randint(1, _MOST_CALLS), how=how)
    if rng.random() < 0.4:
        fate = Fate(seconds=_MOST_S * rng.random(), how=how)
    return lambda: _through(out, first, arguments, fate)


def _writers(out: Path) -> tuple[tuple[str, ...], ...]:
    """Commands that write a file of a bundle, of a log or of measured points."""
    return (
        ("traces", str(_DATA / "traces" / "table.csv"), "--write", str(out / "traffic.json")),
        ("steps", "{bundle}", "--out", str(out / "steps.parquet")),
        (
            "calibrate",
            "serving",
            str(_DATA / "serving" / "points.csv"),
            "--rounds",
            "0",
            "--output",
            str(out),
            "--quiet",
        ),
    )


def _through(out: Path, first: tuple[str, ...] | None, arguments: tuple[str, ...], fate: Fate) -> int:
    signal.setitimer(signal.ITIMER_REAL, 0)  # each command has its own limit
    if first is not None:
        _must(_in_child(out, first))
    arguments = tuple(str(_bundles(out)[0]) if each == "{bundle}" else each for each in arguments)
    before = _contents(out)
    code = _in_child(out, arguments, fate)
    if code not in (-signal.SIGKILL, _INTERRUPTED) or (code == _INTERRUPTED and fate.how == signal.SIGKILL):
        _must(code)
    _check_whole(out, before)
    there = _contents(out)
    _must(_in_child(out, arguments))
    after = _contents(out)
    if half := sorted(name for name in there if not _unfinished(name) and after.get(name) != there[name]):
        raise AssertionError(f"half-written: {half}")
    if kept := sorted(name for name in after if _unfinished(name)):
        raise AssertionError(f"left behind: {kept}")
    if hidden := sorted(path.name for place in _places(out) for path in place.rglob(".*")):
        raise AssertionError(f"left behind: {hidden}")
    if left := sorted(path.name for path in (out.parent / "tmp").iterdir()):
        raise AssertionError(f"left behind in the temporary folder: {left}")
    _must(_in_child(out, arguments))
    again = _contents(out)
    if other := sorted(name for name in {*again, *after} if again.get(name) != after.get(name)):
        raise AssertionError(f"done again after a kill it gives other bytes: {other}")
    _check_whole(out, after)
    return 0


def _unfinished(name: str) -> bool:
    return Path(name).parts[0].endswith((_PARTIAL, _POINTS))


def _places(out: Path) -> tuple[Path, Path]:
    return out, out.parent / "cache"


def _must(code: int) -> None:
    if code not in (0, 1):
        raise AssertionError(f"ended with {code}")


def _in_child(out: Path, arguments: tuple[str, ...], fate: Fate = _NONE) -> int:
    """Exit code of a command in a process of its own; minus the signal that ended it."""
    sys.stdout.flush()
    said = out.parent / "said.txt"
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        os.setpgid(0, 0)
        for file, number in ((os.devnull, 1), (said, 2)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        faulthandler.enable(sys.stderr)
        os._exit(_as_a_command(out, arguments, fate, begun))
    os.close(begun)
    os.read(ready, 1)  # no signal comes before it is told what to do with one
    os.close(ready)
    try:
        status = _ended(child, fate)
        _check_gone(child)
    finally:
        _end_group(child)
    text = said.read_text()
    if any(sign in text for sign in _SIGNS):
        raise AssertionError(f"a traceback: {text[:600]}")
    return os.waitstatus_to_exitcode(status)


def _as_a_command(out: Path, arguments: tuple[str, ...], fate: Fate, begun: int) -> int:
    from simulator.cli import main
    from simulator.simulate import store

    store.FOLDER = out.parent / "cache" / "trials"
    tempfile.tempdir = str(out.parent / "tmp")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, main.terminated)
    os.close(begun)
    unbounded()  # charts are drawn by an engine that reserves addresses by the gigabyte, and ends where it gets none
    if fate.calls:
        _end_at(out.parent, fate)
    try:
        return command(*arguments)()
    except BaseException:
        traceback.print_exc()
        return 3


def _ended(child: int, fate: Fate) -> int:
    """Status of a command that ended; one that hangs says where."""
    began, sent = time.monotonic(), not fate.seconds
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if not sent and time.monotonic() - began >= fate.seconds:
            _end(child, fate.how)
            sent = True
        if time.monotonic() - began > _HANGS_S:
            os.kill(child, signal.SIGABRT)
            return os.waitpid(child, 0)[1]
        time.sleep(0.01)
    return found[1]


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _end(child: int, how: signal.Signals) -> None:
    if how == signal.SIGINT:
        os.killpg(child, how)
    else:
        os.kill(child, how)


def _end_at(place: Path, fate: Fate) -> None:
    left, here = [fate.calls], os.getpid()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_CALLS) and any(str(place) in each for each in arguments[:2] if isinstance(each, str)):
            left[0] -= 1
            if left[0] == 0 and os.getpid() == here:
                _end(here, fate.how)

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
    return sorted(path.parent for path in out.glob("[!.]*/manifest.json") if path.parent.suffix != _PARTIAL)


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
        if Path(name).suffix in _WHOLE_OR_NOT and "/" not in name and _contents(out).get(name) != digest:
            raise AssertionError(f"changed: {name}")
        if not (out / name).is_file():
            raise AssertionError(f"lost: {name}")


def _contents(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "timing.json" and not path.relative_to(out).parts[0].startswith(".")
    }
