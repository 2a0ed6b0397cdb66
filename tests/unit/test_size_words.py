"""What is said of a search."""

from __future__ import annotations

import pytest

from simulator.resolve.sizes import Fixed, Scaled
from simulator.simulate.refusal import Refutation
from simulator.size.answer import Answer
from simulator.size.found import Search
from simulator.size.trials import Tried
from simulator.size.words import gap_warnings, size_warnings
from simulator.study.decision import NOT_FINISHED

BEST = Tried((Fixed(4),), "met", (100.0, 102.0, 98.0))


@pytest.mark.parametrize(
    ("usd", "equal"),
    [
        ((104.0, 99.0, 103.0), True),
        ((103.0, 105.0, 101.0), False),
        ((100.0, 102.0, 98.0), True),
        ((200.0, 102.0), False),
    ],
)
def test_bills_within_their_paired_interval_are_equal(usd: tuple[float, ...], equal: bool) -> None:
    other = Tried((Scaled(2, 4, 30.0),), "met", usd)
    found = Search(BEST, (BEST, other), "best of 2 tried")
    assert found.equal == ([other] if equal else [])
    words = " ".join(size_warnings(Answer("t", ("p",), {0: Fixed(4)}, found)))
    assert ("2 to 4 at 30" in words) == equal


def test_one_replication_has_no_interval_but_two_bills_may_be_one() -> None:
    best, near, same = (Tried((Fixed(n),), "met", (usd,)) for n, usd in ((4, 100.0), (5, 100.1), (6, 100.0)))
    found = Search(best, (best, near, same), "proved")
    assert found.equal == [same]
    assert "the same cost: 6" in size_warnings(Answer("t", ("p",), {0: Fixed(4)}, found))


def test_what_a_search_leaves_open_is_said() -> None:
    worse = Tried((Fixed(5),), "refused", refutation=Refutation("chat", "ttft", 9, 1, 1.0, 0, 1.0))
    cut = Search(BEST, (BEST, worse), "not finished", least_usd=75.0, limited=("p",))
    words = size_warnings(Answer("t", ("p", "q"), {0: Fixed(4), 1: Fixed(0)}, cut, edge="holds on fresh traffic"))
    assert words == [
        "sized at p 4, q 0: not finished",
        "its best needs no q",
        "the search was not finished: at most 25% could be saved (--search-seconds sets its time)",
        "more of p might cost less: --max-replicas 64 may be raised",
        "not monotone: 4 met and 5, which is more, was refused, so smaller ones than were refused may do",
        "holds on fresh traffic",
    ]


def test_what_the_most_replicas_leave_open_is_said_with_its_share() -> None:
    full = Search(BEST, (BEST,), "proved", least_usd=80.0, limited=("p",))
    assert size_warnings(Answer("t", ("p",), {0: Fixed(4)}, full))[1:] == [
        "more of p might cost less: --max-replicas 64 may be raised; at most 20% could be saved"
    ]


def test_where_no_size_meets_the_reason_comes_first() -> None:
    nothing = Search(None, (), "none of 3 tried meets")
    (words,) = size_warnings(Answer("t", ("p",), {0: Fixed(2)}, nothing, infeasible="GPU: too slow"))
    assert words == "no size meets the SLO (GPU: too slow); shown at p 2"
    cut = Search(None, (), "not finished", least_usd=10.0)
    (words,) = size_warnings(Answer("t", ("p",), {0: Fixed(2)}, cut, infeasible=NOT_FINISHED))
    assert words == "no size was found in time: the search was not finished; shown at p 2"


def test_a_share_that_a_percent_does_not_show_is_not_called_none() -> None:
    cut = Search(BEST, (BEST,), "not finished", least_usd=99.7)
    assert gap_warnings(cut) == ["the search was not finished: less than 1% could be saved"]
