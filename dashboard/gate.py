"""What connections may ask of the server before any page runs: how many a visitor has, what they say, how often.

Streamlit has no bound of its own for any of it. It is an ASGI application, and what passes between it and a browser
passes here: a connection that says too much is read more slowly, and the network holds back what it sends.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from starlette.requests import HTTPConnection
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from dashboard.allowance import Asker, SharedAllowances
from dashboard.headers import App, Message, Send
from dashboard.visitor import BROWSER, FORWARDED, asker_of

Receive = Callable[[], Awaitable[Message]]

_STREAM = "/_stcore/stream"
_UPLOAD = "/_stcore/upload_file/"
_PASSED = ("rerun_script", "stop_script", "app_heartbeat", "file_urls_request")
_OPERATIONS = ("deferred_file", "dataframe_chunk")
"""Of a browser's messages those that a page needs: others clear the caches of all visitors, tell of the server's
checkout, change how it runs, or write to its folder."""
_TRY_AGAIN = 1013
_MESSAGE_BYTES = 50_000
"""A larger message counts as several."""
_MOST_OPEN, _MOST_OPEN_OF_ADDRESS = 20, 200
_OF_ADDRESS = 10.0


class Gate:
    """ASGI middleware that bounds connections, their messages and uploads, by browser and by address.

    Parameters
    ----------
    clock, pause : seconds, and how to wait for some
    """

    def __init__(
        self,
        app: App,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.app, self._pause = app, pause
        self._open: Counter[str] = Counter()
        self._connections = SharedAllowances(20, 1.0, _OF_ADDRESS, clock)
        self._messages = SharedAllowances(60, 10.0, _OF_ADDRESS, clock)
        self._uploaded_mib = SharedAllowances(32, 0.5, _OF_ADDRESS, clock)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"].endswith(_STREAM):
            await self._connected(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "PUT" and _UPLOAD in scope["path"]:
            await self._upload(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _connected(self, scope: Message, receive: Receive, send: Send) -> None:
        who = _asker(scope)
        if self._open[who.browser] >= _MOST_OPEN or self._open[who.address] >= _MOST_OPEN_OF_ADDRESS:
            await receive()
            await send({"type": "websocket.close", "code": _TRY_AGAIN})
            return
        names = {who.browser, who.address}
        self._open.update(names)
        try:
            await self._use(self._connections, who)
            await self.app(scope, lambda: self._next(who, receive), send)
        finally:
            self._open.subtract(names)
            self._open = +self._open

    async def _next(self, who: Asker, receive: Receive) -> Message:
        """The next message that a page needs, once its visitor may say it."""
        while True:
            message = await receive()
            data = message.get("bytes") if message["type"] == "websocket.receive" else None
            if data is None:
                return message
            await self._use(self._messages, who, max(1.0, len(data) / _MESSAGE_BYTES))
            if _is_needed(data):
                return message

    async def _upload(self, scope: Message, receive: Receive, send: Send) -> None:
        """What is uploaded counts as it arrives; who has used up all is told so."""
        who = _asker(scope)
        if self._uploaded_mib.share(who) <= 0:
            await send({"type": "http.response.start", "status": 429, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def counted() -> Message:
            message = await receive()
            self._uploaded_mib.take(who, len(message.get("body", b"")) / 2**20)
            return message

        await self.app(scope, counted, send)

    async def _use(self, shares: SharedAllowances, who: Asker, amount: float = 1.0) -> None:
        if wait_s := shares.take(who, amount):
            await self._pause(wait_s)


def _is_needed(data: bytes) -> bool:
    """Whether a message is one that a page needs; what is none is left for Streamlit to refuse."""
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return True
    kind = message.WhichOneof("type")
    if kind == "rerun_script" and not all(map(_is_number, message.rerun_script.widget_states.widgets)):
        return False
    if kind == "backend_operation_request":
        return message.backend_operation_request.WhichOneof("payload") in _OPERATIONS
    return kind in _PASSED


def _is_number(field: WidgetState) -> bool:
    """Whether a field of numbers has some, as a browser's always has: Streamlit fails on what is none, on each page."""
    match field.WhichOneof("value"):
        case "double_value":
            return math.isfinite(field.double_value)
        case "double_array_value":
            values = field.double_array_value.data
            return bool(values) and all(map(math.isfinite, values))
    return True


def _asker(scope: Message) -> Asker:
    found = HTTPConnection(scope)
    address = found.client.host if found.client else None
    return asker_of(address, found.headers.getlist(FORWARDED), found.cookies.get(BROWSER, ""))
