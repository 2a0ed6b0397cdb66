"""Why a size is refused, in words, for requests that are made up; and how far a search is by then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.size.expected import share_done
from simulator.size.reasons import missed_at_vendors, shortfall, turned_away
from tests.fleet_cases import ENGINE, fleet, pool, provider

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
CHAT, BATCH = ClassSlo("chat", (SloTerm("ttft_s", 0.9, 0.5),), 0.9), ClassSlo("batch", (), 0.5)
FAST = ClassSlo("fast", (SloTerm("ttft_s", 0.9, 0.5),), 0.5)


def ended(n: int, class_id: int = 0, ttft_s: float = 0.25, **columns: Any) -> NDArray[Any]:
    out = np.zeros(n, RECORD)
    base = {"isl": 10, "osl": 5, "generated": 5, "class_id": class_id, "first_token_s": ttft_s, "finish_s": 3.0}
    for name in ("transferred_s", "prefilled_s"):
        out[name] = np.nan
    for name, values in {**base, **columns}.items():
        out[name] = values
    return out


def rejected(n: int, reason: Reason, class_id: int = 0, status: Status = Status.REJECTED) -> NDArray[Any]:
    return ended(n, class_id, status=status, reason=reason)


def measured(*parts: NDArray[Any], classes: tuple[ClassSlo, ...] = (CHAT, BATCH)) -> MetricAccumulator:
    found = MetricAccumulator(classes, 0.0, 10.0, (), 0)
    records = np.concatenate(parts)
    records["request"] = np.arange(len(records))
    found.add(records)
    return found


TAKES = (
    "of prompt and answer together, in tokens, base at most 2,000 (max_model_len), small at most 1,584 (its KV cache)"
)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((ended(90), rejected(10, Reason.TOO_LONG), ended(2, 1)), ""),
        (
            (ended(89), rejected(11, Reason.TOO_LONG), ended(2, 1)),
            f"length: chat: 11 of 100 requests rejected (too long); {TAKES}",
        ),
        (
            (ended(85), rejected(9, Reason.TOO_LONG), rejected(6, Reason.DATA_CLASS), ended(2, 1)),
            f"length and routing: chat: 15 of 100 requests rejected (9 too long, 6 data class); {TAKES}",
        ),
        (
            (ended(85), rejected(15, Reason.NO_TARGET), ended(2, 1)),
            "routing: chat: 15 of 100 requests rejected (no target)",
        ),
        ((ended(50), rejected(50, Reason.QUEUE_FULL), ended(2, 1)), ""),
        (
            (ended(10), rejected(6, Reason.TOO_LONG, 1), ended(5, 1)),
            f"length: batch: 6 of 11 requests rejected (too long); {TAKES}",
        ),
        (
            (ended(80, 2), rejected(20, Reason.TOO_LONG, 2)),
            f"length: fast: 20 of 100 requests rejected (too long); {TAKES}",
        ),
    ],
)
def test_who_is_turned_away_whatever_the_size_is_told(parts: tuple[NDArray[Any], ...], said: str) -> None:
    """Of the last class half must be served, but nine of ten keep a limit, which what is lost does not."""
    engines = {"base": (1000, 2000), "small": (100, 2000)}
    pools = tuple(
        pool(name, engine=replace(ENGINE, num_blocks=blocks, max_model_len=longest))
        for name, (blocks, longest) in engines.items()
    )
    assert turned_away(measured(*parts, classes=(CHAT, BATCH, FAST)), fleet(pools)) == said
    api = turned_away(
        measured(*parts, classes=(CHAT, BATCH, FAST)), fleet(providers=(provider(max_context_tokens=99),))
    )
    assert api.endswith(", api at most 99 (max_context_tokens)") == ("too long" in said)


def test_what_a_fleet_misses_is_told_by_term_and_by_what_became_of_requests() -> None:
    late = ended(30, ttft_s=0.75)
    lost = rejected(4, Reason.QUEUE_FULL), rejected(3, Reason.NONE, status=Status.TIMED_OUT)
    assert shortfall(measured(ended(63), late, *lost, ended(2, 1))) == (
        "chat: ttft p90 ≤ 0.5 s holds for 63.0%; 4 of 102 requests rejected (queue full); 3 of 102 requests timed out"
    )
    assert shortfall(measured(ended(100), ended(2, 1))) == ""
    assert shortfall(measured(ended(100))) == "batch: no request to tell by"
    assert shortfall(measured(ended(100)), absent={1}) == ""


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        ((False, False, True), True),
        ((True, False, True), False),
        ((False, True, True), False),
        ((True, True, True), False),
    ],
)
def test_what_vendors_miss_is_of_classes_that_no_pool_may_serve(allowed: tuple[bool, ...], told: bool) -> None:
    """Of two pools and a token API; the other class may go anywhere, and misses as much."""
    found = measured(ended(63), ended(37, ttft_s=0.75), ended(5, 1, ttft_s=0.75), classes=(CHAT, FAST))
    spec = fleet((pool("p"), pool("q")), (provider(),))
    spec = replace(spec, classes=(replace(spec.classes[0], allowed=allowed), spec.classes[1]))
    words = "token API: chat: ttft p90 ≤ 0.5 s holds for 63.0%" if told else ""
    assert missed_at_vendors(found, spec) == words
    assert missed_at_vendors(found, spec, absent={0}) == ""
    assert missed_at_vendors(measured(ended(99), ended(5, 1), classes=(CHAT, FAST)), spec) == ""


@pytest.mark.parametrize(
    ("trials", "expected", "share"),
    [(0, 4, 0.0), (1, 4, 0.25), (2, 4, 0.5), (3, 4, 3 / 4.75), (4, 4, 4 / 6), (16, 4, 16 / 21)],
)
def test_how_far_a_search_is(trials: float, expected: int, share: float) -> None:
    assert share_done(trials, expected) == pytest.approx(share)


def test_a_size_that_is_written_misses_for_what_it_turns_away(tmp_path: Path) -> None:
    """Of lengths up to 1,000 tokens a tenth is longer than the engine takes: no replica more would help."""
    sets = [
        *("run={horizon_s: 60, warmup_s: 0, seed: 3}", "cost.draws=0", "engine.max_model_len=900"),
        "workload.classes[0].lengths={isl: {kind: uniform, low: 1, high: 990}, osl: 10}",
    ]
    found = simulate(load_scenario(SCENARIO, sets=sets).only("cloud"), tmp_path)
    metrics = found.summary["topologies"]["cloud"]["metrics"]
    lost, arrived = metrics["statuses"]["rejected"], metrics["arrived"]
    assert 0.05 < lost / arrived < 0.2
    assert f"; {lost:,} of {arrived:,} requests rejected (too long)" in found.summary["verdict"]
