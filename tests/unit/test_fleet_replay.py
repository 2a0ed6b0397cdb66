"""What a recording of a schedule is for the compiled scheduler: times, contents and columns, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.engine.logged_step import LoggedStep
from simulator.engine.schedule_trace import TraceEvent, TraceRequest
from simulator.engine.state import N_REQUESTS, NONE
from simulator.fleet.records import RECORD, Status
from simulator.fleet.replay import (
    _advance_to_the_end,
    _copies,
    _drafted,
    _entries,
    _extras,
    _noticed,
    _segments,
    _times,
    _verdicts,
    _workload,
)

INSTANT_S = 2.0**-20


def row(id: int = 0, at: int = 0, prompt: tuple[tuple[int, int], ...] = ((0, 40),), osl: int = 8, **more: Any) -> Any:
    return TraceRequest(id, at, prompt, osl, more.pop("priority", 0), **more)


def test_what_happens_within_a_second_of_a_replay() -> None:
    """Before a plan at the half, with its output awaited at three quarters; a reset after a leave is told so."""
    leave, during, reset = TraceEvent(3, (1,)), TraceEvent(3, (2,), during=True), TraceEvent(3, reset="idle")
    assert _times([leave]) == [(3.5, False)]
    assert _times([during]) == [(3.75, False)]
    assert _times([reset]) == [(3.5, False)]
    assert _times([TraceEvent(3, reset="idle", during=True)]) == [(3.5, False)]
    assert _times([leave, reset]) == [(3.5, False), (3.5, True)]
    assert _times([during, reset]) == [(3.75, False), (3.5, False)]
    assert _times([reset, leave]) == [(3.5, False), (3.5, False)]
    assert _times([TraceEvent(2, (1,)), reset]) == [(2.5, False), (3.5, False)], "of another step"


def test_a_leave_after_a_reset_that_follows_one_begins_anew() -> None:
    leave, reset = TraceEvent(3, (1,)), TraceEvent(3, reset="running")
    found = _times([leave, reset, leave, leave, reset, leave, TraceEvent(4, (1,))])
    assert found == [
        (3.5 - 2 * INSTANT_S, False),
        (3.5 - 2 * INSTANT_S, True),
        (3.5 - INSTANT_S, False),
        (3.5 - INSTANT_S, False),
        (3.5 - INSTANT_S, True),
        (3.5, False),
        (4.5, False),
    ]


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (row(), [((0, 0, (), None, None), 40)]),
        (row(prompt=((7, 10), (9, 30)), salt="s", lora=2), [((7, 0, (), "s", 2), 10), ((9, 0, (), "s", 2), 30)]),
        # the picture reaches over the border of both segments; its own tokens are told by where in it they are
        (
            row(prompt=((7, 10), (9, 10)), images=((6, 8, "cat"),)),
            [
                ((7, 0, (), None, None), 6),
                ((7, 6, (("cat", 0),), None, None), 4),
                ((9, 0, (("cat", 4),), None, None), 4),
                ((9, 4, (), None, None), 6),
            ],
        ),
        (
            row(prompt=((7, 9),), images=((0, 3, "a"), (3, 3, "b"))),
            [
                ((7, 0, (("a", 0),), None, None), 3),
                ((7, 3, (("b", 0),), None, None), 3),
                ((7, 6, (), None, None), 3),
            ],
        ),
        # what the other side computes belongs to the content
        (row(prompt=((7, 10), (9, 1)), held_back=1), [((7, 0, (), None, None), 10), ((9, 0, (), None, None), 1)]),
    ],
)
def test_contents_of_a_prompt(request_: TraceRequest, found: list[Any]) -> None:
    assert _segments(request_) == found


def test_columns_of_requests() -> None:
    ordered = [
        row(4, 2, ((7, 10), (9, 30)), 8, priority=1, arrival_order=0.5),
        row(5, 2, ((7, 10), (8, 2)), 8, priority=0, arrival_order=0.5, stop_after=3),
        row(6, 3, ((7, 10),), 8, priority=1, stop_after=8),
        row(7, 5, ((9, 30),), 8, priority=1, arrival_order=9.0),
    ]
    found = _workload(ordered, 0.25, class_id=np.array([1, 0, 2, 3]))
    assert found.arrival_s.tolist() == [2.25, 2.25, 3.25, 5.25]
    assert (found.isl.tolist(), found.osl.tolist()) == ([40, 12, 10, 30], [8, 3, 8, 8])
    assert found.stops.tolist() == [False, True, False, False]
    # (0, 0.5), (1, 0.5), (1, 6), (1, 9) are served in this order
    assert found.priority.tolist() == [1, 0, 2, 3]
    assert found.session_id.tolist() == [0, 0, -1, -1], "two that came together"
    assert found.class_id.tolist() == [1, 0, 2, 3]
    assert found.segment_start.tolist() == [0, 2, 4, 5, 6]
    assert found.segment_id.tolist() == [0, 1, 0, 2, 0, 1]
    assert found.segment_tokens.tolist() == [10, 30, 10, 2, 10, 30]


def test_columns_of_what_requests_bring() -> None:
    """Loads and sends are noticed in order of ids, within a quarter of the second before the plan."""
    ordered = [
        row(9, 2, lora=3, stored_tokens=16, async_load=True, load_steps=4, images=((0, 4, "a"), (8, 4, "b"))),
        row(3, 2, remote_decode=True, send_steps=5, load_steps=1, images=((2, 4, "a"),)),
        row(5, 6, remote_prefill=True, send_steps=5, grammar_ready_step=9),
        row(6, 6, grammar_ready_step=2),
    ]
    events = [TraceEvent(1, (9,)), TraceEvent(7, (9,)), TraceEvent(8, (9, 5), during=True)]
    found = _extras(ordered, events, 2)
    assert found.leaves_s.tolist() == [5.0, 0.0, 2.25, 0.0], "of several leaves the first after it came"
    assert found.adapter.tolist() == [3, 0, 0, 0]
    assert found.grammar_s.tolist() == [-1.0, -1.0, 3.0, 0.0]
    assert found.stored_tokens.tolist() == [16, 0, 0, 0]
    assert found.stored_apart.tolist() == [True, False, False, False]
    assert found.remote.tolist() == [False, False, True, False]
    noticed_s = [0.25 * (1 + rank / 4) for rank in (3, 0, 1, 2)]
    assert found.load_s.tolist() == [steps + 2 - 0.5 + s for steps, s in zip((4, 1, 0, 0), noticed_s, strict=True)]
    assert found.send_s.tolist() == [0.0, 5 + 2 + noticed_s[1], 0.0, 0.0]
    assert found.picture_start.tolist() == [0, 2, 3, 3, 3]
    assert found.picture_offset.tolist() == [0, 8, 2]
    assert found.picture_tokens.tolist() == [4, 4, 4]
    assert found.picture_content.tolist() == [0, 1, 0]


def test_copies_that_are_asked_for() -> None:
    ordered = [row(load_steps=2, store_steps=3), row(max_load_tokens=0, max_offload_tokens=64, store_steps=1)]
    assert _copies(ordered).tolist() == [[2, 3, NONE, NONE], [0, 1, 0, 64]]


def test_verdicts_and_numbers_of_drafts() -> None:
    """Verdicts end in wrong ones; of numbers of drafts the last holds on, and none is told by -1."""
    assert _verdicts([row(accept="101"), row(), row(accept="1")]).tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert _drafted([row(drafts="32"), row(), row(drafts="410"), row(drafts="5")]).tolist() == [
        [3, 2, 2],
        [-1, -1, -1],
        [4, 1, 0],
        [5, 5, 5],
    ]
    assert _verdicts([row()]).shape == (1, 0)
    assert _drafted([row(), row()]).shape == (0, 0)


def ended(*rows: tuple[int, Status, float]) -> Any:
    found = np.zeros(len(rows), RECORD)
    for at, (number, status, finish_s) in enumerate(rows):
        found["request"][at], found["status"][at], found["finish_s"][at] = number, status, finish_s
    return found


def step(start_s: float, *loads: tuple[int, int], **more: Any) -> LoggedStep:
    return LoggedStep(start_s, more.pop("scheduled", ()), more.pop("preempted", ()), 5, loads=loads, **more)


def test_plans_in_which_transfers_are_noticed() -> None:
    """A load begun in the first plan is noticed 2 plans on, a send 3 after that of its end; lost requests send none."""
    ordered = [row(0, load_steps=2), row(1, remote_decode=True, send_steps=3), row(2, send_steps=3), row(3)]
    steps = [step(4.0, (0, 6), (3, -1)), step(5.0), step(6.0), step(7.0)]
    assert _noticed(steps, ordered, ended()) == {2}
    assert _noticed(steps, ordered, ended((1, Status.COMPLETED, 5.5), (2, Status.COMPLETED, 5.5))) == {2, 4}
    assert _noticed(steps, ordered, ended((1, Status.COMPLETED, 9.0))) == {2}, "no plan was made then"
    lost = next(status for status in Status if status != Status.COMPLETED)
    assert _noticed(steps, ordered, ended((1, lost, 5.5))) == {2}
    assert _noticed([step(4.0, (0, 0))], ordered, ended()) == {2}


def test_entries_are_plans_that_do_something() -> None:
    ordered = [row(8, load_steps=3), row(9)]
    steps = [
        step(0.25, (0, 6)),
        step(1.25),
        step(2.25, scheduled=((1, 16, 4), (0, 1, 40))),
        step(3.25),
        step(4.25, preempted=(1,)),
        step(5.25, copies=((-1, 1, 0),)),
        step(6.25),
    ]
    found = _entries(steps, ordered, ended(), copied=False)
    assert [one.step for one in found] == [0, 2, 3, 4, 5]
    assert found[1].scheduled == ((9, 16, 4), (8, 1, 40))
    assert (found[3].preempted, found[1].free_blocks) == ((9,), 5)
    assert [one.step for one in _entries(steps, ordered, ended(), copied=True)] == [0, 2, 4, 5]


class Engines:
    """Ends requests, and makes tokens, as is told for each time that it is advanced."""

    def __init__(self, ended: tuple[int, ...], tokens: tuple[int, ...]) -> None:
        self.engines = SimpleNamespace(
            counters=np.zeros(N_REQUESTS + 1, np.int64), replicas=np.zeros(2, [("output_tokens", np.int64)])
        )
        self.work = list(zip(ended, tokens, strict=True))
        self.until_s: list[float] = []

    def advance(self, until_s: float) -> None:
        self.until_s.append(until_s)
        ended, tokens = self.work.pop(0) if self.work else (0, 0)
        self.engines.counters[N_REQUESTS] += ended
        self.engines.replicas["output_tokens"][1] += tokens

    def close(self, at_s: float) -> None:
        self.closed_s = at_s


@pytest.mark.parametrize(
    ("ended", "tokens", "advanced"),
    [((), (), 1), ((1, 1, 1), (1, 1, 1), 4), ((0, 0, 1), (9, 9, 0), 4), ((1, 0, 1), (4, 0, 4), 2)],
)
def test_a_replay_goes_on_while_tokens_are_made_or_requests_end(
    ended: tuple[int, ...], tokens: tuple[int, ...], advanced: int
) -> None:
    """A thousand seconds at a time from the last arrival, until in one of them nothing has happened."""
    engines: Any = Engines(ended, tokens)
    _advance_to_the_end(engines, 7.0)
    assert engines.until_s == [7.0 + 1000.0 * k for k in range(1, advanced + 1)]
    assert engines.closed_s == engines.until_s[-1]
