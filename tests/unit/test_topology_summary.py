"""What is said of a topology is written whole, in one place."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from simulator.run.topology_summary import Compared, TopologySummary

ALONE: dict[str, Any] = {
    one.name: ()
    for one in fields(TopologySummary)
    if one.name not in ("edge", "cause", "fleet", "search", "at_speeds", "unmeasured", "compared")
}


def test_a_row_has_every_part_and_what_was_compared_only_where_it_was() -> None:
    alone = TopologySummary(**ALONE)
    assert set(alone.row()) == set(ALONE)
    whole = replace(
        alone, edge="said", cause="what", fleet="key", search={}, at_speeds=({},), unmeasured=({},), compared=Compared()
    )
    parts = {one.name for one in (*fields(TopologySummary), *fields(Compared))} - {"compared"}
    assert set(whole.row()) == parts


def test_warnings_are_added_before_or_behind_and_leave_the_noun_as_it_was() -> None:
    told = TopologySummary(**ALONE).warned("basis", ["b"])
    more = told.warned("load", ["a"], first=True).warned("size", ["c"])
    assert [one["text"] for one in more.warnings] == ["a", "b", "c"]
    assert [one["text"] for one in told.warnings] == ["b"]
