"""Sides of a comparison as they stand in bundles, and the sentences that say why they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.figures.differences import CostLine, Side, differences_in_words
from simulator.results.bundle import Bundle

_SAID = {"prefill": "prefill and network"}
"""Parts of a request's time that hold something else, too, as they are told beside another place's."""


def sides(bundle: Bundle, called: Callable[[str], str] = str) -> dict[str, Side]:
    """Every topology of a run, in the order of its scenario.

    Parameters
    ----------
    called : from its name to what it is called beside those of other runs

    Raises
    ------
    InputError : the bundle has no table of costs, or it is broken
    """
    costs = bundle.table("costs")
    lines: dict[str, list[CostLine]] = {}
    columns = ("topology", "owner", "category", "part", "quantity", "unit", "usd_per_month")
    for topology, owner, category, part, quantity, unit, usd in costs[list(columns)].itertuples(index=False):
        lines.setdefault(str(topology), []).append(
            CostLine(str(owner), str(category), str(part), float(quantity), str(unit), float(usd))
        )
    return {
        called(name): side_of(called(name), bundle.summary["topologies"][name], tuple(lines.get(name, ())))
        for name in bundle.summary["order"]
    }


def side_of(name: str, summary: Mapping[str, Any], lines: tuple[CostLine, ...]) -> Side:
    """A topology by its summary and the lines of its bill."""
    metrics = summary["metrics"]
    came = metrics["arrived"] + metrics["unsent_turns"]
    return Side(
        name,
        lines,
        {pool["name"]: pool.get("launches_per_hour") or 0.0 for pool in summary["pools"]},
        {_SAID.get(part, part): float(seconds) for part, seconds in metrics["breakdown_s"].items()},
        {words: count / came for words, count in _lost(metrics).items()} if came else {},
    )


def _lost(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Requests that were not completed, by why."""
    found: dict[str, float] = {}
    for status, count in metrics["statuses"].items():
        if status == "completed" or not count:
            continue
        known = metrics["reasons"].get(status, {})
        for reason, part in known.items():
            found[f"{status} ({reason})".replace("_", " ")] = part
        if rest := count - sum(known.values()):
            found[status.replace("_", " ")] = rest
    if metrics["unsent_turns"]:
        found["turns that a broken session no longer sent"] = metrics["unsent_turns"]
    return found


def why_notes(found: Mapping[str, Side], baseline: str) -> list[str]:
    """Why each topology differs from the baseline, a sentence for each figure; of equal ones it is said once."""
    base = found[baseline]
    told: list[Side] = []
    notes: list[str] = []
    for name, side in found.items():
        reasons = differences_in_words(side, base)
        if name == baseline or not reasons:
            continue
        same = next((other.name for other in told if not differences_in_words(side, other)), None)
        if same:
            notes.append(f"{name} differs from {baseline} as {same} does.")
        else:
            notes += [each.text for each in reasons]
            told.append(side)
    return notes
