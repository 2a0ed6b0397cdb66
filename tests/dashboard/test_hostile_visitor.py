"""A real server, one visitor that floods it, and another whose pages are served all the same."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from bench.browser import server
from bench.visitors import Visits, asked, look

OPEN, FLOOD = 20, 400
CLEAR = BackMsg()
CLEAR.clear_cache = True
READER, HOSTILE = 1, 2


async def begun(connection: ClientConnection) -> int:
    """Pages that were begun for a connection, until it is closed."""
    found = 0
    with contextlib.suppress(Exception):
        while True:
            message = ForwardMsg()
            message.ParseFromString(await connection.recv())  # type: ignore[arg-type]
            found += message.WhichOneof("type") == "new_session"
    return found


async def flood(connection: ClientConnection) -> None:
    with contextlib.suppress(Exception):
        for _ in range(FLOOD):
            await connection.send(asked("load"))
            await connection.send(CLEAR.SerializeToString())


@pytest.mark.exhaustive
def test_a_flood_of_one_visitor_leaves_the_pages_of_another(runs: Path, tmp_path: Path) -> None:
    async def visit(address: str) -> None:
        visits = Visits(address, 0.0)
        hostile = [await visits.connection(HOSTILE) for _ in range(OPEN)]
        with pytest.raises(InvalidStatus):
            await visits.connection(HOSTILE)
        pages = [asyncio.create_task(begun(one)) for one in hostile]
        floods = [asyncio.create_task(flood(one)) for one in hostile]
        async with visits.connection(READER) as reader:
            for page in ("overview", "load", "cost", "latency", "load"):
                await look(visits, reader, page)
        assert not visits.errors
        for one in hostile:
            one.transport.abort()
        assert sum([await one for one in pages]) < OPEN * FLOOD / 10, "most of the flood was not even read"
        for task in floods:
            await task

    with server(runs, out=tmp_path) as (address, _):
        asyncio.run(asyncio.wait_for(visit(address), 120))
