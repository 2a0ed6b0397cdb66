"""Answers leave at once: the operating system else holds what follows a small one until that is confirmed."""

from __future__ import annotations

import gc
import socket

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def send_at_once(port: int) -> int:
    """Let connections that this process accepts on a port send without delay; how many of its sockets there are.

    Headers and body of an answer, and each message to a page, are writes of their own. The second waits for the
    browser's confirmation of the first, which that puts off by some 40 ms (Nagle's algorithm). asyncio switches it off
    where a socket names its protocol; that of Streamlit does not, and connections inherit what it has.
    """
    found = 0
    for one in gc.get_objects():
        if issubclass(type(one), socket.socket) and _listens_on(one, port):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            found += 1
    return found


def _listens_on(one: socket.socket, port: int) -> bool:
    if one.fileno() < 0 or one.family not in _FAMILIES or one.type != socket.SOCK_STREAM:
        return False
    try:
        one.getpeername()
    except OSError:
        return bool(one.getsockname()[1] == port)
    return False
