"""What the ledger knows of the time before its window."""

from __future__ import annotations

import pytest

from simulator.fleet.ledger import launched_before, left_s
from simulator.fleet.lifecycle import Span


def span(start_s: float, end_s: float, *servers: int) -> Span:
    return Span("serving", start_s, end_s, 0, servers, ())


def test_servers_held_into_the_window_know_since_when() -> None:
    spans = (
        span(0.0, 900.0, 0),  # there at time 0
        span(100.0, 900.0, 1),
        span(100.0, 200.0, 2),  # followed by another on the same server
        span(200.0, 900.0, 2),
        span(100.0, 200.0, 3),  # given back, and rented anew
        span(300.0, 900.0, 3),
        span(100.0, 400.0, 4),  # gone before the window
        span(600.0, 900.0, 5),  # launched in it
        span(150.0, 900.0, 6, 7),  # one replica over two servers
    )
    assert launched_before(spans, 500.0) == ((1, 100.0), (2, 100.0), (3, 300.0), (6, 150.0), (7, 150.0))
    assert launched_before(spans, 0.0) == ()


def test_a_window_may_begin_just_as_one_stay_follows_another() -> None:
    spans = (span(100.0, 500.0, 1), span(500.0, 900.0, 1), span(500.0, 900.0, 2), span(100.0, 500.0, 3))
    assert launched_before(spans, 500.0) == ((1, 100.0),)


def test_replicas_that_are_busy_throughout_were_never_idle() -> None:
    """Steps and stays are summed in other orders: what is left by that was billed as $0.0000000000023 of idle time."""
    assert left_s(2280.0, 0.0, 0.0, 2280.0 - 4.5e-13) == 0.0
    assert left_s(2280.0, 0.0, 0.0, 2280.0 + 4.5e-13) == 0.0
    assert left_s(10.0, 1.0, 2.0, 3.0) == 4.0
    assert left_s(2280.0, 0.0, 0.0, 2279.999) == pytest.approx(0.001)
    assert left_s(0.0, 0.0) == 0.0
