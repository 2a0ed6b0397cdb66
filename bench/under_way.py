"""Six runs of a dashboard, of as many visitors, that go on while something is timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dashboard import jobs
from dashboard.workspace import shipped

RUNS = 6


@contextmanager
def runs_under_way(out: Path) -> Iterator[None]:
    """Quickstarts of a server, each with a seed of its own; those that go on at the end are cancelled."""
    text = (shipped() / "quickstart.yaml").read_text(encoding="utf-8")
    started = [
        jobs.start(out, "quickstart.yaml", text.replace("seed: 7", f"seed: {k}"), {}, visitor=f"visitor {k}")
        for k in range(RUNS)
    ]
    try:
        yield
    finally:
        for job in started:
            jobs.cancel(out, job)
        while any((one := jobs.status(out, job)) is not None and one.is_open for job in started):
            time.sleep(0.2)
