"""Launches ahead of the windows of a schedule that no period simulates are told with their hours."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_cases import chat, written

from simulator.run.simulate import simulate
from simulator.run.unseen_starts import _seen_s as seen_s

CLOCK = (
    "clock: {pools: [{name: g, site: lambda, gpu: h100-sxm, replicas: 0, "
    "schedule: [{days: mon-fri, hours: 8-18, replicas: 2}], "
    "cold_start: {provision_s: 900, image_s: 0, weights_s: 0, engine_s: 0}}]}"
)
WORK, WHOLE_START = (
    "{name: work, days: mon-fri, hours: 8-18}",
    "{name: early, hours_per_month: 5.43, start: tue 7:45, load: 0}",
)


@pytest.mark.parametrize(
    ("periods", "hours"),
    [
        ((WORK, "{name: off, load: 0, start: sat 10}"), "10.9"),
        ((WORK, WHOLE_START, "{name: off, load: 0, start: sat 10}"), None),
        (("{name: all}",), None),
    ],
)
def test_hours_by_hand(tmp_path: Path, periods: tuple[str, ...], hours: str | None) -> None:
    """Five starts of a quarter of an hour a week, of two replicas: 730 / 168 · 5 · 0.25 · 2 hours a month."""
    text = chat(CLOCK, study=f"months: 1, periods: [{', '.join(periods)}]", rate_rps=1, horizon_s=900, warmup_s=0)
    told = simulate(written(tmp_path, text), tmp_path).summary["topologies"]["clock"]["warnings"]
    found = [one["text"] for one in told if "is launched" in one["text"]]
    assert len(found) == (hours is not None)
    if hours:
        assert f"15 min before its windows: {hours} h of its replicas" in found[0]
        assert "(2.5% of those" in found[0]


@given(st.integers(0, 99), st.integers(1, 40), st.integers(0, 300), st.integers(1, 250))
def test_seconds_seen_are_those_of_a_count(start_s: int, early_s: int, begin_s: int, span_s: int) -> None:
    counted = sum((start_s - at - 1) % 100 < early_s for at in range(begin_s, begin_s + span_s))
    assert seen_s(start_s, early_s, begin_s, span_s, 100.0) == pytest.approx(counted)
