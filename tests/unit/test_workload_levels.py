"""More and fewer requests at their own clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workload.levels import at_level, repeat_rows
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests, make_requests
from simulator.workload.source import build_source
from simulator.workload.spec import (
    ClassWorkload,
    ClosedLoopArrivals,
    Constant,
    Poisson,
    Schedule,
    Sessions,
    Trace,
    WorkloadSpec,
)

HORIZON_S = 4000.0


def _class(name: str, arrivals: object) -> ClassWorkload:
    return ClassWorkload(name, arrivals, Constant(100), Constant(10))  # type: ignore[arg-type]


def _rows(spec: WorkloadSpec, horizon_s: float = HORIZON_S) -> list[Requests]:
    return list(build_source(spec, horizon_s, 3).chunks())


def _arrivals(spec: WorkloadSpec, horizon_s: float = HORIZON_S) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([chunk.arrival_s[: chunk.n_open] for chunk in _rows(spec, horizon_s)])


@pytest.mark.parametrize(
    "arrivals",
    [
        Poisson(2.0),
        Schedule(2.0, hourly=tuple(1.0 for _ in range(24))),
        Sessions(2.0, Constant(3), 1.0, Constant(50)),
    ],
)
def test_rates_and_sessions_go_by_rate(arrivals: object) -> None:
    spec = WorkloadSpec((_class("a", arrivals),))
    one, two = (len(_arrivals(at_level(spec, (factor,)))) for factor in (1.0, 2.5))
    assert two == pytest.approx(2.5 * one, rel=0.08)
    assert at_level(spec, (1.0,)) == spec


def test_users_of_a_closed_loop_are_whole_and_at_least_one() -> None:
    spec = WorkloadSpec((_class("a", ClosedLoopArrivals(5)),))
    for factor, users in ((1.0, 5), (1.3, 7), (0.5, 3), (0.01, 1), (2.0, 10)):
        source = build_source(at_level(spec, (factor,)), HORIZON_S, 3)
        assert len(source.closed_loops[0].start_s) == users


def test_classes_have_factors_of_their_own_and_keep_their_requests() -> None:
    spec = WorkloadSpec((_class("a", Poisson(1.0)), _class("b", Poisson(1.0))))
    both, one = (np.concatenate([c.class_id for c in _rows(at_level(spec, f))]) for f in ((3.0, 1.0), (1.0, 1.0)))
    assert (both == 1).sum() == (one == 1).sum()
    assert (both == 0).sum() == pytest.approx(3 * (one == 0).sum(), rel=0.08)


@pytest.mark.parametrize(
    "arrivals", [Poisson(2.0), Sessions(2.0, Constant(3), 1.0, Constant(50)), ClosedLoopArrivals(4, 0.0)]
)
def test_with_a_factor_of_zero_nobody_comes_and_the_others_stay(arrivals: object) -> None:
    spec = WorkloadSpec((_class("a", arrivals), _class("b", Poisson(1.0))))
    without = at_level(spec, (0.0, 1.0))
    assert build_source(without, HORIZON_S, 3).closed_loops == ()
    rows, alone = (
        np.concatenate([chunk.arrival_s[chunk.class_id == 1] for chunk in _rows(one)]) for one in (without, spec)
    )
    assert {int(k) for chunk in _rows(without) for k in chunk.class_id} == {1}
    assert rows.tolist() == alone.tolist()


@pytest.mark.parametrize("factors", [(1.0,), (-1.0, 1.0), (float("nan"), 1.0)])
def test_factors_are_checked(factors: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        at_level(WorkloadSpec((_class("a", Poisson(1.0)), _class("b", Poisson(1.0)))), factors)


@given(st.integers(1, 60), st.floats(0.05, 7))
@settings(max_examples=60, deadline=None)
def test_a_trace_is_multiplied_row_by_row_at_its_own_clock(n: int, factor: float) -> None:
    times = np.cumsum(np.linspace(1.0, 3.0, n))
    rows = make_requests(times, np.arange(1, n + 1), np.full(n, 7))
    found = repeat_rows(rows, factor)
    assert len(found) == max(int(np.floor(n * factor)), 1)
    assert (np.diff(found.arrival_s) >= 0).all()
    gap = (times[-1] - times[0]) / max(n - 1, 1)
    assert found.arrival_s[0] >= times[0]
    assert found.arrival_s[-1] <= times[-1] + gap
    share = np.array([np.mean(found.arrival_s <= t) for t in times])
    assert np.abs(share - np.arange(1, n + 1) / n).max() <= 1.0 / max(n * factor, 1) + 1.0 / n + 1e-9


def test_halves_and_doubles_of_a_trace() -> None:
    rows = make_requests(np.array([0.0, 1.0, 3.0, 4.0]), np.array([1, 2, 3, 4]), np.ones(4, int))
    assert repeat_rows(rows, 1.0) is rows
    assert repeat_rows(rows, 0.5).isl.tolist() == [2, 4]
    assert repeat_rows(rows, 0.5).arrival_s.tolist() == [1.0, 4.0]
    twice = repeat_rows(rows, 2.0)
    assert twice.isl.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert twice.arrival_s[::2].tolist() == rows.arrival_s.tolist()
    assert (twice.arrival_s[1:6:2] < rows.arrival_s[1:]).all()


def test_repeated_rows_are_other_users_and_sessions_stay_whole() -> None:
    rows = make_requests(
        np.arange(6.0),
        np.full(6, 10),
        np.ones(6, int),
        session_id=np.array([0, 1, 0, -1, 1, 0]),
        segment_start=np.arange(7),
        segment_id=np.array([0, 1, 0, 2, 1, 0]),
        segment_tokens=np.full(6, 8),
    )
    twice = repeat_rows(rows, 2.0)
    sessions, counts = np.unique(twice.session_id, return_counts=True)
    assert dict(zip(sessions.tolist(), counts.tolist(), strict=True)) == {-1: 2, 0: 3, 1: 2, 2: 3, 3: 2}
    for session in (0, 1, 2, 3):
        assert len(set(twice.segment_id[twice.session_id == session].tolist())) == 1
    assert len(set(twice.segment_id.tolist())) == 6
    half = repeat_rows(rows, 1 / 3)
    assert len(set(half.session_id.tolist())) == 1


def test_a_looping_trace_keeps_its_period(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{t},10,5\n" for t in range(10)))
    spec = WorkloadSpec((ClassWorkload("a", Trace(file, Reading("table"), loop=True)),))
    for factor in (0.5, 1.0, 3.0):
        times = _arrivals(at_level(spec, (factor,)), 100.0)
        assert len(times) == 100 * factor
        assert np.histogram(times, bins=10, range=(0, 100))[0].tolist() == [int(10 * factor)] * 10
