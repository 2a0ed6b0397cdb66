"""The table of months has those in which something changes, and all of them where they are asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.report.decision import months_met_words
from simulator.report.month_table import changing, month_table
from simulator.units import month_words


def _month(number: int, usd: float, **more: Any) -> dict[str, Any]:
    plain = {"level": [1.0], "meets": True, "replicas": [2], "servers": 1, "ordered": 0, "arriving": 0, "event": ""}
    return {"month": number, "usd": usd, **plain, **more}


def _decision(*topologies: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    names = [f"t{k}" for k in range(len(topologies))]
    return {"topologies": {n: {"months": m} for n, m in zip(names, topologies, strict=True)}}, names


def test_a_month_is_shown_for_what_is_new_in_it() -> None:
    months = [_month(k, 1000.0) for k in range(1, 13)]
    months[2] |= {"servers": 2, "arriving": 1}
    for month in months[3:]:
        month |= {"servers": 2}
    months[5] |= {"meets": False}
    for month in months[8:]:
        month |= {"usd": 900.0}
    months[10] |= {"event": "newer GPUs"}
    decision, names = _decision(months)
    assert changing(decision, names) == [1, 3, 6, 7, 9, 11, 12]
    rows, headers = month_table(decision, names)
    assert headers == ["month", "load", "t0"]
    cells = {int(row[0]): row[2] for row in rows}
    assert cells[3] == "1,000 at 2, +1 server"
    assert cells[6] == "1,000 at 2, SLO missed"
    assert cells[11] == "900 at 2, newer GPUs"
    assert len(month_table(decision, names, every=True)[0]) == 12


def test_a_month_says_what_has_to_be_ordered_in_it() -> None:
    """The two servers of month 1 stand there when the study begins; one of month 3 takes longer than there is time."""
    months = [_month(k, 1000.0) for k in range(1, 8)]
    months[0] |= {"servers": 2, "arriving": 2, "ordered": 3}
    months[2] |= {"servers": 3, "arriving": 1}
    months[3] |= {"ordered": 2}
    months[6] |= {"servers": 5, "arriving": 2}
    cells = {int(row[0]): row[2] for row in month_table(*_decision(months))[0]}
    assert cells[1] == "1,000 at 2, order 1 server"
    assert cells[3] == "1,000 at 2, +1 server"
    assert cells[4] == "1,000 at 2, order 2 servers"
    assert cells[7] == "1,000 at 2, +2 servers"


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 3), st.integers(1, 2), st.sampled_from([0, 0, 0, 500])),
        min_size=1,
        max_size=24,
    )
)
@settings(max_examples=60, deadline=None)
def test_between_two_months_that_are_shown_nothing_changes(states: list[tuple[bool, int, int, int]]) -> None:
    """What is left out is as the month shown before it, for each topology."""
    months = [
        _month(k, 100.0 * n + once, meets=met, replicas=[n], servers=s, event="paid once" if once else "")
        for k, (met, n, s, once) in enumerate(states, 1)
    ]
    decision, names = _decision(months, [_month(k, 5.0) for k in range(1, len(states) + 1)])
    shown = changing(decision, names)
    assert shown[0] == 1
    assert shown[-1] == len(months)
    for k, month in enumerate(months, 1):
        if k not in shown:
            last = months[max(n for n in shown if n < k) - 1]
            assert {**month, "month": 0} == {**last, "month": 0}


def test_a_month_alone_is_told_as_one() -> None:
    assert [month_words(months) for months in (1, 1.0, 2.5, 36)] == ["1 month", "1 month", "2.5 months", "36 months"]
    assert months_met_words([{"meets": True}]) == "1 of 1 month"
