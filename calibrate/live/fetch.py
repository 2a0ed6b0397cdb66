"""Fetches a metrics page that may be anything: bounded in time and size, and only the lines that are asked for."""

from __future__ import annotations

import http.client
import os
import socket
import urllib.error
import urllib.parse
import urllib.request
from threading import Event, Timer
from typing import Any

MOST_BYTES = 64 * 2**20
"""Of a page; vLLM's have less than one of these 2^20."""
MOST_KEPT_BYTES = 8 * 2**20
"""Of the lines that are kept."""
MOST_LINE_BYTES = 16_384
MOST_SHOWN = 200
"""Letters of a server's text that a message repeats."""
_CHUNK_BYTES = 65_536


def address(url: str) -> str:
    """The metrics page of a server: http unless said, `/metrics` where no page is named."""
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    return urllib.parse.urlunsplit(parts._replace(path=parts.path if parts.path.strip("/") else "/metrics"))


def shown(text: object) -> str:
    """A server's text for a message: one line, without control characters, cut where it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 4 * MOST_SHOWN])
    line = " ".join(line.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"


def fetch_lines(url: str, prefix: str, timeout_s: float) -> str:
    """The lines of a page that begin with `prefix`.

    Raises
    ------
    OSError : not all of it within `timeout_s`, however slowly it comes; more than `MOST_BYTES`, or than
        `MOST_KEPT_BYTES` of these lines, or a line of more than `MOST_LINE_BYTES`; no HTTP answer
    """
    opened: list[socket.socket] = []
    is_late = Event()
    late = Timer(timeout_s, _shut, (opened, is_late))
    late.daemon = True
    late.start()
    try:
        with _opener(opened).open(url, timeout=timeout_s) as answer:
            text = _kept(answer, prefix.encode())
        if is_late.is_set():
            raise OSError
        return text
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        late_text = f"no whole answer within {timeout_s:g} s" if is_late.is_set() else ""
        raise OSError(f"{url}: {late_text or shown(getattr(error, 'reason', error))}") from error
    finally:
        late.cancel()
        _close(opened)


def _kept(answer: Any, prefix: bytes) -> str:
    kept: list[bytes] = []
    size = kept_size = 0
    rest = b""
    while chunk := answer.read1(_CHUNK_BYTES):
        size += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        wanted = [line for line in lines if line.startswith(prefix)]
        kept += wanted
        kept_size += sum(map(len, wanted))
        if len(rest) > MOST_LINE_BYTES or any(len(line) > MOST_LINE_BYTES for line in wanted):
            raise ValueError(f"a line has more than {MOST_LINE_BYTES:,} bytes")
        if size > MOST_BYTES or kept_size > MOST_KEPT_BYTES:
            raise ValueError(f"the page has more than {(MOST_BYTES if size > MOST_BYTES else MOST_KEPT_BYTES):,} bytes")
    if rest.startswith(prefix):
        kept.append(rest)
    return b"\n".join([*kept, b""]).decode("utf-8", "replace")


def _close(opened: list[socket.socket]) -> None:
    """Close what an answer that was given up has left open."""
    for each in opened:
        descriptor = each.detach()
        if descriptor >= 0:
            os.close(descriptor)


def _shut(opened: list[socket.socket], is_late: Event) -> None:
    """End whatever still waits for the server."""
    is_late.set()
    for each in opened:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def _opener(opened: list[socket.socket]) -> urllib.request.OpenerDirector:
    """An opener that notes its sockets."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            opened.append(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            opened.append(self.sock)

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Secure, req)

    return urllib.request.build_opener(PlainHandler, SecureHandler)
