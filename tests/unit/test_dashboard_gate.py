"""What the gate lets through of connections, messages and uploads, by a clock that the test turns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg

from dashboard.allowance import Asker
from dashboard.gate import Gate, _asker

UPLOAD = "/_stcore/upload_file/session/file"


class Server:
    """An application behind the gate that reads all it is sent, at a clock that only waiting moves."""

    def __init__(self) -> None:
        self.now_s, self.read = 0.0, list[bytes]()
        self.gate = Gate(self.app, lambda: self.now_s, self.pause)
        self.stays: asyncio.Event | None = None

    async def pause(self, wait_s: float) -> None:
        self.now_s += wait_s

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 204, "headers": []})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            self.read.append(message.get("bytes") or b"text")
        if self.stays:
            await self.stays.wait()

    async def connect(self, *messages: bytes | str, address: str = "10.0.0.1", browser: str = "") -> list[str]:
        """What the gate answers a connection that says this and leaves."""
        heard = [{"type": "websocket.receive", "bytes" if isinstance(one, bytes) else "text": one} for one in messages]
        return await self._ask({"type": "websocket", "path": "/_stcore/stream"}, heard, address, browser)

    async def upload(self, count: int, size: int, address: str = "10.0.0.1") -> list[str]:
        """What it answers a body of so many pieces."""
        heard = [{"type": "http.request", "body": b"x" * size, "more_body": k + 1 < count} for k in range(count)]
        return await self._ask({"type": "http", "method": "PUT", "path": UPLOAD}, heard, address, "")

    async def _ask(
        self, scope: Mapping[str, Any], heard: list[dict[str, Any]], address: str, browser: str
    ) -> list[str]:
        sent: list[str] = []
        left = [*heard, {"type": "websocket.disconnect"}]

        async def receive() -> Any:
            return left.pop(0)

        async def send(message: Any) -> None:
            sent.append(str(message.get("status", message["type"])))

        headers = [(b"cookie", f"_streamlit_xsrf={browser}".encode())]
        await self.gate({**scope, "headers": headers, "client": (address, 1)}, receive, send)
        return sent


def said(**kinds: Any) -> bytes:
    message = BackMsg()
    for kind, value in kinds.items():
        if isinstance(value, str):
            getattr(message, kind).SetInParent()
        else:
            setattr(message, kind, value)
    return bytes(message.SerializeToString())


RERUN = said(rerun_script="")


def operation(name: str) -> bytes:
    message = BackMsg()
    getattr(message.backend_operation_request, name).SetInParent()
    return bytes(message.SerializeToString())


def test_messages_that_no_page_needs_are_left_out() -> None:
    """They would clear the caches of all visitors, read the checkout, or write to the server's folder."""
    server = Server()
    needed = [RERUN, said(stop_script=True), said(app_heartbeat=True), said(file_urls_request="")]
    needed += [operation("deferred_file"), operation("dataframe_chunk")]
    others = [said(clear_cache=True), said(load_git_info=True), said(set_run_on_save=True), b""]
    others += [operation("install_skills"), operation("dismiss_skills_nudge"), said(debug_shutdown_runtime=True)]
    broken = b"\xff\xff"
    assert all(needed), "each of them says something"
    asyncio.run(server.connect(*others, *needed, *others, broken, "text"))
    assert server.read == [*needed, broken, b"text"]


def field(name: str, value: float | list[float]) -> bytes:
    message = BackMsg()
    widget = message.rerun_script.widget_states.widgets.add(id="field")
    if isinstance(value, list):
        getattr(widget, name).SetInParent()
        getattr(widget, name).data.extend(value)
    else:
        setattr(widget, name, value)
    return bytes(message.SerializeToString())


def test_fields_of_numbers_without_any_are_left_out() -> None:
    """No browser sends them, and the session would fail on each page after them."""
    server = Server()
    needed = [field("double_value", 1e300), field("double_array_value", [0.5, 2.0]), field("int_array_value", [])]
    others = [field("double_value", value) for value in (math.nan, math.inf, -math.inf)]
    others += [field("double_array_value", values) for values in ([], [1.0, math.nan])]
    asyncio.run(server.connect(*others, *needed))
    assert server.read == needed


def test_who_says_much_is_read_slowly_and_others_are_not() -> None:
    server = Server()
    asyncio.run(server.connect(*[RERUN] * 60))
    assert server.now_s == 0.0, "fast clicks wait for nothing"
    asyncio.run(server.connect(*[RERUN] * 50))
    assert server.now_s == 5.0, "ten of them a second"
    asyncio.run(server.connect(*[RERUN] * 60, browser="another"))
    asyncio.run(server.connect(*[RERUN] * 60, address="10.0.0.2"))
    assert server.now_s == 5.0
    assert len(server.read) == 230


def test_messages_that_are_left_out_count_and_large_ones_count_more() -> None:
    server = Server()
    asyncio.run(server.connect(*[said(clear_cache=True)] * 60, RERUN))
    assert server.now_s == 0.1
    large = BackMsg()
    large.rerun_script.query_string = "x" * 500_000
    asyncio.run(server.connect(bytes(large.SerializeToString()), address="10.0.0.2"))
    asyncio.run(server.connect(*[RERUN] * 50, address="10.0.0.2"))
    assert 0.1 < server.now_s < 0.3, "as ten, and a little"


def test_many_browsers_behind_one_proxy_share_ten_times_as_much() -> None:
    server = Server()
    for k in range(10):
        asyncio.run(server.connect(*[RERUN] * 60, browser=f"{k}"))
    assert server.now_s == 0.0
    asyncio.run(server.connect(*[RERUN] * 60, browser="made up"))
    assert server.now_s == 0.6, "a hundred a second"


def test_connections_are_counted_by_browser_and_address_and_those_that_ended_are_not() -> None:
    async def visits() -> None:
        server = Server()
        server.stays = asyncio.Event()
        tabs = [asyncio.create_task(server.connect()) for _ in range(20)]
        await asyncio.sleep(0)
        assert await server.connect() == ["websocket.close"]
        others = [asyncio.create_task(server.connect(browser=f"{k}")) for k in range(180)]
        await asyncio.sleep(0)
        assert await server.connect(browser="made up") == ["websocket.close"]
        elsewhere = asyncio.create_task(server.connect(address="10.0.0.2"))
        await asyncio.sleep(0)
        server.stays.set()
        assert [await one for one in (*tabs, *others, elsewhere)] == [["websocket.accept"]] * 201
        assert await server.connect() == ["websocket.accept"]
        assert not server.gate._open

    asyncio.run(visits())


def test_new_connections_wait_where_there_were_many_a_moment_ago() -> None:
    async def visits() -> None:
        server = Server()
        for _ in range(20):
            await server.connect()
        assert server.now_s == 0.0
        await server.connect()
        assert server.now_s == 1.0
        await server.connect(browser="another")
        assert server.now_s == 1.0

    asyncio.run(visits())


def test_uploads_are_bounded_by_their_size_and_told_so() -> None:
    server = Server()
    assert [asyncio.run(server.upload(2, 2**20)) for _ in range(17)] == [["204"]] * 16 + [["429", "http.response.body"]]
    assert asyncio.run(server.upload(1, 1, "10.0.0.2")) == ["204"]
    server.now_s += 10.0
    assert asyncio.run(server.upload(1, 2**20)) == ["204"]


def test_people_behind_a_proxy_on_the_machine_are_told_apart_by_the_address_that_it_adds() -> None:
    def known(*headers: tuple[str, str], address: str | None = "127.0.0.1") -> Asker:
        told = [(name.encode(), value.encode()) for name, value in headers]
        client = (address, 1) if address else None
        return _asker({"type": "websocket", "headers": told, "client": client})

    added = known(("x-forwarded-for", "10.0.0.1"), ("cookie", "a=b; _streamlit_xsrf=2|x|y"))
    assert known(("x-forwarded-for", "9.9.9.9, 10.0.0.1")).address == added.address
    assert known(("x-forwarded-for", "9.9.9.9"), ("x-forwarded-for", "10.0.0.1")).address == added.address
    assert known(address="10.0.0.1").address == added.address
    assert known(("x-forwarded-for", "10.0.0.1"), address="10.0.0.2") == known(address="10.0.0.2")
    assert known(("cookie", "_streamlit_xsrf=2|x|y"), address="10.0.0.1") == added != known(address="10.0.0.1")
    assert known(address=None) == known() != added
