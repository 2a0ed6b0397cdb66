"""Intervals cover the truth as often as they say, near 100 % too; the binding term is the nearest to failing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulator.metrics.intervals import quantile_interval, share_interval
from simulator.metrics.sketch import RELATIVE_ERROR, Sketch
from simulator.metrics.slo import ClassSlo, SloTerm, TermCount, binding_term, slo_met, term_rows
from simulator.rng import stream

TRUTH = 0.9976


@pytest.mark.parametrize("shape", [np.inf, 5.0, 1.0])
@pytest.mark.parametrize(("replications", "requests"), [(1, 400), (3, 400), (3, 70_000), (5, 3_000)])
def test_intervals_of_the_attainment_cover_nine_truths_of_ten(shape: float, replications: int, requests: int) -> None:
    """Misses are independent, or come in bursts that spread over replications as a gamma variable of this shape."""
    if replications == 1 and np.isfinite(shape):
        pytest.skip("one replication knows nothing of what sets replications apart")
    rng = stream(5, "coverage", str(shape), replications, requests)
    trials = 1_000
    rates = np.full((trials, replications), 1 - TRUTH)
    if np.isfinite(shape):
        rates *= rng.gamma(shape, 1 / shape, rates.shape)
    kept = requests - rng.binomial(requests, np.minimum(rates, 1.0))
    ends = np.array([share_interval(row, [requests] * replications) for row in kept])
    covered = (ends[:, 0] <= TRUTH) & (ends[:, 1] >= TRUTH)
    assert covered.mean() >= 0.9
    assert ((ends >= 0) & (ends <= 1)).all()


@pytest.mark.parametrize(("q", "truth"), [(0.5, 1.0), (0.99, float(np.exp(stats.norm.ppf(0.99))))])
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_intervals_of_percentiles_cover_nine_truths_of_ten(q: float, truth: float, spread: float) -> None:
    rng = stream(6, "coverage", str(q), str(spread))
    found = 0
    for _ in range(300):
        sketches = []
        for shift in rng.normal(0.0, spread, 5):
            sketches.append(Sketch())
            sketches[-1].add(np.exp(shift + rng.standard_normal(800)))
        low, high = quantile_interval(sketches, q)
        wide = truth if not spread else float(np.exp(stats.norm.ppf(q) * np.sqrt(1 + spread**2)))
        found += low * (1 - RELATIVE_ERROR) <= wide <= high * (1 + RELATIVE_ERROR)
    assert found / 300 >= 0.9


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6))
def test_an_interval_holds_its_share_and_stays_within_bounds(rows: list[tuple[int, int]]) -> None:
    kept, of = [min(k, n) for k, n in rows], [n for _, n in rows]
    low, high = share_interval(kept, of)
    assert 0 <= low <= sum(kept) / sum(of) + 1e-9
    assert sum(kept) / sum(of) - 1e-9 <= high <= 1
    assert share_interval([*kept, 0], [*of, 0]) == (low, high)


def test_nothing_measured_has_no_interval() -> None:
    assert np.isnan(share_interval([0, 0], [0, 0])).all()
    assert np.isnan(quantile_interval([Sketch()], 0.5)).all()


def sketch(values: Any) -> Sketch:
    found = Sketch()
    found.add(np.asarray(values, float))
    return found


def test_a_terms_value_is_that_of_all_arrived_requests() -> None:
    slo = ClassSlo("a", (SloTerm("ttft_s", 0.9, 5.0), SloTerm("tpot_s", 0.5, 0.1)))
    ttft, tpot = sketch(np.arange(1, 9)), sketch(np.arange(1, 7) / 100)
    counts = [(TermCount(5, 10), TermCount(8, 10), TermCount(8, 10))]
    rows = term_rows(slo, counts, {"ttft_s": ttft, "tpot_s": tpot})
    assert rows[0]["value"] == np.inf
    assert rows[1]["value"] == pytest.approx(0.03, rel=0.01)
    assert [row["allowance_used"] for row in rows] == pytest.approx([5.0, 0.4, 20.0])
    assert [row["met"] for row in rows] == [False, True, False]
    assert (rows[2]["value"], rows[2]["limit"]) == (0.8, 0.99)
    assert binding_term(rows) is rows[2]


def test_the_binding_term_of_a_met_slo_is_nearest_to_its_limit() -> None:
    slo = ClassSlo("a", (SloTerm("ttft_s", 0.5, 4.0), SloTerm("ttft_s", 0.9, 10.0)))
    values = sketch(np.arange(1, 11))
    counts = [(TermCount(6, 10), TermCount(10, 10), TermCount(10, 10))]
    rows = term_rows(slo, counts, {"ttft_s": values})
    assert slo_met(rows) is True
    assert binding_term(rows) is rows[0]
    clear = [(TermCount(10, 10), TermCount(10, 10), TermCount(10, 10))]
    assert binding_term(term_rows(slo, clear, {"ttft_s": values}))["term"] == "ttft p50 ≤ 4 s"
    nothing = term_rows(slo, [(TermCount(0, 0),) * 3], {"ttft_s": Sketch()})
    assert slo_met(nothing) is None
    assert binding_term(nothing) is None
