"""What an interrupted plan says of each topology: what was searched, what was begun, what was not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from simulator.plan.stopped import PlanStopped, lines, standing
from simulator.size.found import Interrupted


def candidate(name: str, *pools: tuple[str, int]) -> Any:
    chosen = [SimpleNamespace(gpu=gpu, tensor_parallel_size=tp) for gpu, tp in pools]
    return SimpleNamespace(topology=name, settings=SimpleNamespace(pools=chosen))


class Best:
    usd_per_month = 2000.0

    def __str__(self) -> str:
        return "3 + 2"


def search(best: Any = None, tried: int = 4, gap_usd: float | None = None) -> Any:
    return SimpleNamespace(best=best, tried=tried, gap_usd=gap_usd)


def test_each_topology_is_told_as_far_as_it_was_searched() -> None:
    done = [
        SimpleNamespace(candidate=candidate("own", ("h100", 2), ("h100", 2), ("l4", 1)), found=search(Best(), 1)),
        SimpleNamespace(candidate=candidate("api"), found=search(None, 7)),
    ]
    left = [candidate("rent", ("l4", 1)), candidate("late", ("l4", 1)), candidate("last")]
    rows = standing(done, left, Interrupted(search(Best(), 5, 250.0)))
    assert [row["state"] for row in rows] == ["finished", "finished", "interrupted", "not begun", "not begun"]
    assert [row["simulated_sizes"] for row in rows] == [1, 7, 5, 0, 0]
    assert [row["sizes"] for row in rows] == ["3 + 2", None, "3 + 2", None, None]
    assert [row["usd_per_month"] for row in rows] == [2000.0, None, 2000.0, None, None]
    assert [row["gap_usd"] for row in rows] == [None, None, 250.0, None, None]
    assert (rows[0]["gpu"], rows[0]["tp"]) == (["h100", "h100", "l4"], [2, 2, 1])
    assert lines(rows) == [
        "own (h100 TP 2 + l4 TP 1): 3 + 2 at $2,000 a month, 1 size tried, finished",
        "api: none of them met the SLO, 7 sizes tried",
        "rent (l4 TP 1): best so far 3 + 2 at $2,000 a month, 5 sizes tried; at most 12% ($250 a month) could be saved",
        "late (l4 TP 1): not begun",
        "last: not begun",
    ]
    stopped = PlanStopped("mine", rows)
    assert (stopped.scenario, stopped.rows) == ("mine", rows)


def test_what_was_interrupted_before_anything_met_says_so() -> None:
    (row,) = standing([], [candidate("rent")], Interrupted(search(None, 1, 9.0)))
    assert row["gap_usd"] is None
    assert lines([row]) == ["rent: none met by then, 1 size tried"]
    (row,) = standing([], [candidate("rent")], KeyboardInterrupt())
    assert lines([row]) == ["rent: none met by then, 0 sizes tried"]
    free = {"topology": "a", "gpu": [], "tp": [], "state": "interrupted", "simulated_sizes": 2, "sizes": "1"}
    (line,) = lines([{**free, "usd_per_month": 0.0, "gap_usd": 0.0}])
    assert "at most 0% ($0" in line
