"""Every answer of the dashboard has its headers; other names and closed paths are not answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashboard.headers import HEADERS, WithHeaders

COOKIES = [(b"set-cookie", b"user=a"), (b"set-cookie", b"tokens=b")]


def answered(path: str, host: str, hosts: tuple[str, ...]) -> tuple[int, list[tuple[str, str]]]:
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOW"), *COOKIES]}
        )
        await send({"type": "http.response.body", "body": b"secret"})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(WithHeaders(inner, hosts)(scope, receive, send))
    return sent[0]["status"], [(key.decode(), value.decode()) for key, value in sent[0]["headers"]]


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "localhost:8501", 200),
        ("/", "[::1]:8501", 200),
        ("/", "LOCALHOST", 200),
        ("/", "evil.example:8501", 421),
        ("/", "", 421),
        ("/", "[", 421),
        ("/_stcore/metrics", "localhost", 404),
    ],
)
def test_answers_have_headers_and_go_to_the_servers_own_names(path: str, host: str, status: int) -> None:
    found, headers = answered(path, host, ("localhost", "::1"))
    assert found == status
    assert [header for header in headers if header[0] in HEADERS] == [*HEADERS.items()]
    assert "x-frame-options" not in dict(headers)
    kept = [value for name, value in headers if name == "set-cookie"]
    assert kept == (["user=a", "tokens=b"] if status == 200 else [])
    assert answered("/", host, ())[0] == 200
