"""What a server of the dashboard does before it answers: connections that do not wait, a first page that is loaded."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from dashboard.no_delay import send_at_once


@pytest.fixture
def listening() -> socket.socket:
    """As Streamlit binds it: without the protocol that asyncio looks for."""
    found = socket.socket(family=socket.AF_INET)
    found.bind(("127.0.0.1", 0))
    found.listen()
    return found


def accepted(listening: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listening.getsockname())
    return listening.accept()[0], client


def without_delay(one: socket.socket) -> bool:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_connections_of_a_port_send_at_once_and_those_of_others_as_before(listening: socket.socket) -> None:
    other = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    with listening, other:
        before, first = accepted(listening)
        assert not without_delay(before)
        assert send_at_once(port) == 1
        after, second = accepted(listening)
        elsewhere, third = accepted(other)
        assert without_delay(after)
        assert not without_delay(elsewhere)
        assert not without_delay(first), "whoever calls is not the one that listens"
        for one in (before, after, elsewhere, first, second, third):
            one.close()
    assert send_at_once(port) == 0


@pytest.mark.exhaustive
def test_the_first_page_loads_no_simulation() -> None:
    """What shows a run does not need what simulates one: importing that took as long as all the rest."""
    words = "import sys, dashboard.boundary, dashboard.views.overview; print({'simpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
