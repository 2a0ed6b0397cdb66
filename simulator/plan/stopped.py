"""What a plan had found when it was interrupted: the best fleet of each topology so far, and what it may be off by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.money import money
from simulator.plan.candidate import Candidate
from simulator.plan.sizing import Sizing
from simulator.size.found import Interrupted, Search


class PlanStopped(KeyboardInterrupt):
    """An interrupted plan.

    Attributes
    ----------
    scenario : its name
    rows : JSON-ready, one for each topology and hardware in the order of the search: `state` (`finished`,
        `interrupted`, `not begun`), `sizes` of the best fleet that met the SLO and its `usd_per_month`, None where none
        had by then, and `gap_usd`, what a month could cost less at most
    """

    def __init__(self, scenario: str, rows: list[dict[str, Any]]) -> None:
        super().__init__()
        self.scenario, self.rows = scenario, rows


def standing(done: Sequence[Sizing], left: Sequence[Candidate], stop: KeyboardInterrupt) -> list[dict[str, Any]]:
    """A row for each candidate: those that were searched, the one that was interrupted, those that had not begun."""
    rows = [_row(one.candidate, one.found, "finished") for one in done]
    found = stop.found if isinstance(stop, Interrupted) else None
    rows += [_row(one, found, "interrupted") for one in left[:1]]
    return rows + [_row(one, None, "not begun") for one in left[1:]]


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each."""
    return [f"{row['topology']}{_hardware(row)}: {_words(row)}" for row in rows]


def _row(one: Candidate, found: Search | None, state: str) -> dict[str, Any]:
    best = None if found is None else found.best
    return {
        "topology": one.topology,
        "gpu": [pool.gpu for pool in one.settings.pools],
        "tp": [pool.tensor_parallel_size for pool in one.settings.pools],
        "state": state,
        "simulated_sizes": 0 if found is None else found.tried,
        "sizes": None if best is None else str(best),
        "usd_per_month": None if best is None else best.usd_per_month,
        "gap_usd": None if best is None or found is None else found.gap_usd,
    }


def _hardware(row: dict[str, Any]) -> str:
    names = " + ".join(f"{gpu} TP {tp}" for gpu, tp in dict.fromkeys(zip(row["gpu"], row["tp"], strict=True)))
    return f" ({names})" if names else ""


def _words(row: dict[str, Any]) -> str:
    if row["state"] == "not begun":
        return "not begun"
    tried = f"{row['simulated_sizes']} size{'' if row['simulated_sizes'] == 1 else 's'} tried"
    if row["sizes"] is None:
        return f"none of them met the SLO, {tried}" if row["state"] == "finished" else f"none met by then, {tried}"
    best = f"{row['sizes']} at {money(row['usd_per_month'])} a month"
    if row["state"] == "finished":
        return f"{best}, {tried}, finished"
    share = row["gap_usd"] / row["usd_per_month"] if row["usd_per_month"] else 0.0
    return f"best so far {best}, {tried}; at most {share:.0%} ({money(row['gap_usd'])} a month) could be saved"
