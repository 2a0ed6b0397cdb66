"""Of two walks through the months the cheaper one is as open as both of their searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.run.evaluate import cheapest_answer
from simulator.run.loads import loads_of
from simulator.run.sizer import Sizer
from simulator.simulate.store import Store
from simulator.size.answer import Answer
from simulator.size.found import UNFINISHED, Search

HYBRID = (
    "t: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned, replicas: auto}, "
    "{name: burst, site: lambda, gpu: h100-sxm, replicas: auto}], "
    "routing: {kind: overflow, order: [base, burst], when: {outstanding_per_replica: 9}}}"
)
PROVED, OPEN = Search(None, (), "minimal"), Search(None, (), UNFINISHED, 70.0)


@pytest.mark.parametrize(
    ("mean", "closed", "told"),
    [
        (PROVED, PROVED, ("minimal", None)),
        (OPEN, PROVED, (UNFINISHED, 70.0)),
        (PROVED, OPEN, (UNFINISHED, 70.0)),
        (replace(OPEN, least_usd=50.0), OPEN, (UNFINISHED, 50.0)),
    ],
)
@pytest.mark.parametrize("cheaper", ["mean", "closed"])
def test_what_time_left_of_either_search_is_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mean: Search,
    closed: Search,
    told: tuple[str, float | None],
    cheaper: str,
) -> None:
    def answer(*_: Any, closed: tuple[str, ...] = (), **__: Any) -> Answer:
        return Answer("t", ("base", "burst"), {}, searches["closed" if closed else "mean"], closed=closed)

    searches = {"mean": mean, "closed": closed}
    loaded = written(tmp_path, chat(HYBRID, study="months: 3, growth_per_year: 1"))
    monkeypatch.setattr(Sizer, "answer", answer)
    monkeypatch.setattr(
        "simulator.run.evaluate._usd_of_months",
        lambda *known: 1.0 if ("closed" if known[4].closed else "mean") == cheaper else 2.0,
    )
    found = cheapest_answer(Sizer(Store()), loaded, "t", loads_of(loaded))
    assert found is not None
    assert found.closed == (("burst",) if cheaper == "closed" else ())
    assert (found.search.claim, found.search.least_usd) == told
