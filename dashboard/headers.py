"""Headers of every answer: nothing from another host, no page around it, no guessing of types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Send], Awaitable[None]]

POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'wasm-unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""Streamlit's page has one inline script and sets styles; charts are interpreted, not compiled."""
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
_OURS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_NAMES = {name.lower() for name, _ in _OURS}
CLOSED = ("/_stcore/metrics",)
"""Paths that tell of the server to whoever asks."""


class WithHeaders:
    """ASGI middleware that gives each answer `HEADERS`, and answers nobody who asks for what is `CLOSED`.

    Parameters
    ----------
    hosts : names by which the server answers, so that no other name leads a visitor's browser to it; any if empty
    """

    def __init__(self, app: App, hosts: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [header for header in message.get("headers", ()) if header[0].lower() not in _NAMES]
                message = {**message, "headers": [*given, *_OURS]}
            await send(message)

        wrong_host = self.hosts and _host(scope) not in self.hosts
        if wrong_host or scope["path"].endswith(CLOSED):
            await with_headers({"type": "http.response.start", "status": 421 if wrong_host else 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, with_headers)


def _host(scope: MutableMapping[str, Any]) -> str:
    """Name that a request goes by, without its port."""
    name = next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == b"host"), "")
    try:
        return (urlsplit(f"//{name}").hostname or "").lower()
    except ValueError:
        return ""
