"""A real server whose runs lose their tabs, their process or their memory: every end is told, and nothing is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.browser import server
from bench.tabs import rounds


@pytest.mark.exhaustive
def test_the_end_of_every_run_is_told_whatever_becomes_of_it(runs: Path, tmp_path: Path) -> None:
    with server(runs, out=tmp_path) as (address, pid):
        found = asyncio.run(asyncio.wait_for(rounds(address, tmp_path, 1, pid), 300))
    ends = {fate: next(iter(told)) for fate, told in found["ends"].items()}
    assert ends["loading"] == "Cancelled before it began, so nothing is left of it."
    assert ends["cancelled"].startswith("Cancelled at …%.")
    assert ends["left"] == "The run is done."
    assert "its process was ended by SIGKILL" in ends["killed"]
    assert ends["starved"].startswith("took more than the … GiB of memory allowed here")
    assert found["zombies"] == [0]
