"""What becomes of runs whose tabs, visitors or processes go: `python -m bench.tabs RUNS --rounds 5`, JSON.

A visitor of a server of its own begins a run in one tab, by the page's own protocol, and sees it in a second one. The
run then meets one of five fates: cancelled from the second tab while it is being loaded, or while it is simulated; both
tabs gone while it is simulated, and it goes on; its process killed; its memory used up. A tab that is opened by the
run's address afterwards is told its end. Each round is all five, each of another visitor; memory of the server with its
processes, and zombies among these, are those after each round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection

from bench.browser import pss_bytes, server
from bench.visitors import Visits
from dashboard.line import FOLDER, Status, pid_of, read_status

SCENARIO = Path(__file__).resolve().parents[1] / "tests/data/scenarios/dashboard.yaml"
HORIZON, LONG = "horizon_s: 120", "horizon_s: 40000"
_PAGE, _EDITOR = "scenario", "Scenario (YAML)"
_ROOM_BYTES = 2 * 2**20
_PATIENCE_S = 300.0
_ENDS = ("Cancelled", "The run", "memory")
_FIGURE = re.compile(r"[\d.]*\d")


class Tab:
    """A tab on the page of scenarios: what it shows, and what is done there."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids: dict[str, str] = {}
        self.query, self.told = "", [""]

    @property
    def job(self) -> str:
        """The run that its address names."""
        return parse_qs(self.query).get("job", [""])[0]

    async def show(self, query: str = "", press: str = "", text: str = "") -> None:
        """Go to the address, or press a button with a scenario in the editor, and wait for the page."""
        self.query, self.told = query or self.query, []
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = _PAGE, self.query
        if text:
            message.rerun_script.widget_states.widgets.add(id=self._ids[_EDITOR], string_value=text)
        if press:
            message.rerun_script.widget_states.widgets.add(id=self._ids[press], trigger_value=True)
        await self._connection.send(message.SerializeToString())
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await self._connection.recv())  # type: ignore[arg-type]
            if answer.WhichOneof("type") == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            if answer.WhichOneof("type") == "delta":
                self._see(answer.delta.new_element)
            if answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY and answer.HasField("script_finished"):
                return

    def _see(self, element: Any) -> None:
        match element.WhichOneof("type"):
            case "button":
                self._ids[element.button.label] = element.button.id
            case "text_area":
                self._ids[element.text_area.label] = element.text_area.id
            case "alert":
                self.told.append(element.alert.body)
            case "exception":
                self.told.append(f"{element.exception.type}: {element.exception.message}")


async def _until(folder: Path, holds: Callable[[Status], bool]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while (found := read_status(folder)) is None or not (holds(found) or not found.is_open):
        if time.monotonic() > end_s:
            raise SystemExit(f"{folder.name} goes on: {found}")
        await asyncio.sleep(0.02)


async def loading(folder: Path, first: Tab, second: Tab) -> None:
    """Cancelled from another tab while its modules are imported."""
    await _until(folder, lambda status: status.state == "running")
    await second.show(press="Cancel")


async def cancelled(folder: Path, first: Tab, second: Tab) -> None:
    """Cancelled from another tab while it is simulated."""
    await _until(folder, lambda status: status.share > 0)
    await second.show(press="Cancel")


async def left(folder: Path, first: Tab, second: Tab) -> None:
    """Nobody looks any more."""
    await _until(folder, lambda status: status.share > 0)
    for tab in (first, second):
        tab._connection.transport.abort()


async def killed(folder: Path, first: Tab, second: Tab) -> None:
    """Its process is killed, as by a system whose memory runs out."""
    await _until(folder, lambda status: status.share > 0)
    os.kill(pid_of(folder), signal.SIGKILL)


async def starved(folder: Path, first: Tab, second: Tab) -> None:
    """It may take no more memory than it has."""
    await _until(folder, lambda status: status.share > 0)
    pages = int(Path(f"/proc/{pid_of(folder)}/statm").read_text().split()[5])
    most = pages * resource.getpagesize() + _ROOM_BYTES
    resource.prlimit(pid_of(folder), resource.RLIMIT_DATA, (most, most))


FATES: tuple[Callable[[Path, Tab, Tab], Awaitable[None]], ...] = (loading, cancelled, left, killed, starved)


async def meet(visits: Visits, out: Path, number: int, fate: Callable[[Path, Tab, Tab], Awaitable[None]]) -> str:
    """The end of a run that met a fate, as a tab is told that is opened afterwards."""
    horizon = HORIZON if fate is left else LONG
    text = SCENARIO.read_text(encoding="utf-8").replace(HORIZON, horizon)
    text = text.replace("seed: 3", f"seed: {number}")
    async with visits.connection(number) as one, visits.connection(number) as other:
        first, second = Tab(one), Tab(other)
        await first.show()
        await first.show(press="Run", text=text)
        folder = out / FOLDER / first.job
        await second.show(first.query)
        await fate(folder, first, second)
    while (found := read_status(folder)) is not None and found.is_open and _is_there(folder):
        await asyncio.sleep(0.1)
    async with visits.connection(number) as again:
        tab = Tab(again)
        await tab.show(f"job={folder.name}")
        return next((told for told in tab.told if any(word in told for word in _ENDS)), "nothing")


def _is_there(folder: Path) -> bool:
    return _state(pid_of(folder)) not in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def zombies(pid: int) -> int:
    """Processes below a server that have ended and that it has not asked for."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_state(int(child)) == "Z" for child in children)


async def rounds(address: str, out: Path, count: int, pid: int) -> dict[str, Any]:
    """All fates so many times, and what is left of them."""
    visits = Visits(address, 0.0)
    ends: dict[str, Counter[str]] = {fate.__name__: Counter() for fate in FATES}
    mib, dead = [round(pss_bytes(pid) / 2**20)], []
    for k in range(count):
        for j, fate in enumerate(FATES):
            told = await meet(visits, out, 1 + k * len(FATES) + j, fate)
            ends[fate.__name__][_FIGURE.sub("…", told)] += 1
        mib.append(round(pss_bytes(pid) / 2**20))
        dead.append(zombies(pid))
    return {"ends": ends, "memory_mib": mib, "zombies": dead}


def main() -> None:
    """Ends of all runs, and memory and zombies after each round."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("runs", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        shutil.copytree(given.runs, out, dirs_exist_ok=True)
        with server(out, out=out) as (address, pid):
            print(json.dumps(asyncio.run(rounds(address, out, given.rounds, pid)), indent=1))


if __name__ == "__main__":
    main()
