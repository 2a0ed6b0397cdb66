"""Polls a server, keeps every reading on disk, and survives a server that stops answering."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calibrate.live.fetch import shown
from calibrate.live.scrape import Snapshot, parse, scrape, snapshot_from_json
from simulator.errors import InputError, Problem

FORMAT = "servecast-live/1"


@dataclass(frozen=True, slots=True)
class Gap:
    """A poll that got no answer, or one that makes no sense."""

    time_s: float
    reason: str


Poll = Snapshot | Gap


@dataclass(frozen=True, slots=True)
class Clock:
    """Time that never jumps, and sleep, apart so that tests need not wait."""

    now_s: Callable[[], float]
    sleep: Callable[[float], None]


def poll(
    url: str, period_s: float, duration_s: float, clock: Clock, *, timeout_s: float, model: str | None = None
) -> Iterator[Poll]:
    """Read the metrics every `period_s` for `duration_s`; a poll without an answer, or with nonsense, is a `Gap`.

    Raises
    ------
    InputError : the first poll gets no answer, or a page that is not vLLM's
    """
    start_s = clock.now_s()
    answered = False
    k = 0
    while True:
        due_s = start_s + k * period_s
        clock.sleep(max(due_s - clock.now_s(), 0.0))
        try:
            entry: Poll = parse(scrape(url, timeout_s), clock.now_s(), model)
            answered = True
        except OSError as error:
            if not answered:
                raise InputError(Problem(f"the server does not answer: {error}", path="URL")) from error
            entry = Gap(clock.now_s(), str(error))
        except InputError as error:
            if not answered:
                raise
            entry = Gap(clock.now_s(), str(error))
        yield entry
        k = max(k + 1, int((clock.now_s() - start_s) / period_s))
        if k * period_s > duration_s:
            return


def record(polls: Iterator[Poll], path: Path) -> Iterator[Poll]:
    """Append each poll to a recording, one JSON object a line, as it passes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            for entry in polls:
                body = {"gap": entry.reason, "time_s": entry.time_s} if isinstance(entry, Gap) else entry.as_json()
                file.write(json.dumps({"format": FORMAT, **body}, sort_keys=True) + "\n")
                file.flush()
                yield entry
    except OSError as error:
        raise InputError(Problem(f"cannot keep the recording: {error.strerror}", str(path))) from error


def read_recording(path: Path) -> list[Poll]:
    """Polls of a recording.

    Raises
    ------
    InputError : no such file, or a line that is not of this format (a last line cut short is left out)
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", str(path))) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem("is not UTF-8 text", str(path))) from error
    polls: list[Poll] = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if value.get("format") != FORMAT:
                raise ValueError(f"format must be {FORMAT!r}")
            if "gap" in value:
                polls.append(Gap(float(value["time_s"]), shown(value["gap"])))
            else:
                polls.append(snapshot_from_json(value))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break
            raise InputError(
                Problem(f"is no line of a {FORMAT} recording: {shown(error)}", str(path), number)
            ) from error
    return polls
