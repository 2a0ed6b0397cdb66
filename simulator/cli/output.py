"""Tables on stdout, progress on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from simulator.report.parts import in_parts
from simulator.units import rough_span_words

LINE_EVERY_S = 5.0
"""Between two lines of progress where stderr is no terminal."""


def print_json(data: Any) -> None:
    """Print JSON with sorted keys; in escapes where stdout's encoding has not all letters."""
    narrow = not str(sys.stdout.encoding).lower().startswith("utf")
    print(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=narrow))


def terminal_width() -> int:
    """Characters of a line on a terminal; without end in a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def print_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print a plain table, words left and figures right; on a narrow terminal in parts, one below the other.

    Each part repeats the first column, and cells that are wider than what it leaves are wrapped. What is written into a
    file or a pipe is never folded.
    """
    align = ["left" if column == 0 or _is_words(rows, column) else "right" for column in range(len(headers))]
    print(in_parts(rows, headers, terminal_width(), align))


def _is_words(rows: Sequence[Sequence[Any]], column: int) -> bool:
    cells = [str(row[column]) for row in rows if str(row[column])]
    return bool(cells) and all(cell[0].isalpha() and " " in cell for cell in cells)


_REFRESH_S = 0.1
_TELLING_SHARE = 0.02
"""Of the whole, before which its time cannot be told."""


@contextmanager
def progress_bar(quiet: bool, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str, float], None]]:
    """Progress on stderr: a bar on a terminal, elsewhere a line every few seconds, with the time that is left.

    It never goes back, and has no thread of its own, so that workers may be forked beside it.
    """
    if quiet:
        yield lambda label, share: None
        return
    if not sys.stderr.isatty():
        yield _lines(clock)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("loading", total=1.0, left="")
        bar.refresh()
        pace, shown_s = _Pace(clock), clock()

        def show(label: str, share: float) -> None:
            nonlocal shown_s
            share, left = pace.at(share)
            refresh = share == 0.0 or clock() - shown_s > _REFRESH_S
            shown_s = clock() if refresh else shown_s
            bar.update(task, completed=share, description=label, left=left, refresh=refresh)

        yield show


class _Pace:
    """How far something is, which never falls, and how long it takes at the pace since the first of it was done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._share = clock, 0.0
        self._first: tuple[float, float] | None = None

    def at(self, share: float) -> tuple[float, str]:
        """The share that is done, and the time that is left in words; none before enough is done to tell."""
        self._share = max(self._share, min(share, 1.0))
        if self._first is None and self._share > 0:
            self._first = self._clock(), self._share
        if self._first is None or self._share - self._first[1] < _TELLING_SHARE:
            return self._share, ""
        began_s, begun = self._first
        left_s = (self._clock() - began_s) * (1 - self._share) / (self._share - begun)
        return self._share, f"about {rough_span_words(left_s)} left"


def _lines(clock: Callable[[], float]) -> Callable[[str, float], None]:
    """A line at most every few seconds; nothing of what is done sooner."""
    pace, last = _Pace(clock), clock()

    def tell(label: str, share: float) -> None:
        nonlocal last
        share, left = pace.at(share)
        now = clock()
        if now - last >= LINE_EVERY_S:
            last = now
            print(f"{share:4.0%} {label}{', ' if left else ''}{left}", file=sys.stderr, flush=True)

    return tell
