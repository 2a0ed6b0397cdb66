"""Tables on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tabulate import tabulate


def print_json(data: Any) -> None:
    """Print JSON with sorted keys."""
    print(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print a plain table; the first column left, the others as given."""
    align = ["left"] + ["right"] * (len(headers) - 1)
    print(tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True, colalign=align if rows else None))


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on stderr, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda label, share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compiling kernels", total=1.0)
        yield lambda label, share: bar.update(task, completed=share, description=f"simulating {label}")
