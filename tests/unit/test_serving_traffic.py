"""The requests of published results, drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrate.serving.measured import ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.read import read_tables
from calibrate.serving.traffic import PASS_GAP_S, make_traffic

POINTS = Path(__file__).parents[1] / "data" / "serving" / "points.csv"


def row(row_id: str) -> MeasuredRow:
    return next(one for one in read_tables([POINTS]).rows if one.row_id == row_id)


def test_random_arrivals_keep_the_stated_rate() -> None:
    drawn = make_traffic(row("open"), 8192).requests
    assert len(drawn) == 40
    assert drawn.arrival_s[0] == 0
    assert drawn.arrival_s[-1] < 40 / 4.0
    gaps = np.diff(drawn.arrival_s)
    assert np.all(gaps > 0)
    assert gaps.std() > 0.3 * gaps.mean()


def test_a_constant_rate_is_constant() -> None:
    drawn = make_traffic(row("constant"), 8192).requests
    np.testing.assert_allclose(drawn.arrival_s, np.arange(30) / 2.0)


def test_a_burst_comes_at_once() -> None:
    assert np.all(make_traffic(row("burst"), 8192).requests.arrival_s == 0)


@pytest.mark.parametrize("cv_scale", [0.0, 0.5, 1.0, 1.5])
def test_lengths_have_the_stated_mean_whatever_their_spread(cv_scale: float) -> None:
    drawn = make_traffic(replace(row("constant"), num_requests=400), 8192, cv_scale=cv_scale).requests
    assert drawn.isl.mean() == pytest.approx(205, rel=0.01)
    assert drawn.osl.mean() == pytest.approx(220, rel=0.01)
    assert (drawn.isl.std() > 0) == (cv_scale > 0)


def test_lengths_without_a_known_spread_are_constant() -> None:
    drawn = make_traffic(row("open"), 8192).requests
    assert set(drawn.isl.tolist()) == {512}
    assert set(drawn.osl.tolist()) == {64}


def test_users_of_a_closed_loop_send_one_request_after_the_other() -> None:
    drawn = make_traffic(row("closed"), 8192).requests
    users = row("closed").load
    assert isinstance(users, ClosedLoop)
    assert drawn.n_open == users.concurrency
    assert len(drawn) == 10 * users.concurrency
    named = drawn.next_turn[drawn.next_turn >= 0]
    assert sorted(named.tolist()) == list(range(drawn.n_open, len(drawn)))
    assert np.all(drawn.session_id[named] == drawn.session_id[: len(named)])


def test_the_sources_own_draw_and_its_earlier_passes() -> None:
    known = replace(row("open"), dataset="iog", load=OpenLoop(16.0, "poisson"))
    traffic = make_traffic(known, 8192)
    n = 40
    assert traffic.origin_s == PASS_GAP_S
    assert len(traffic.requests) == 2 * n
    gaps = np.random.RandomState(42).gamma(1.0, 1.0, n)
    expected = np.concatenate([[0.0], np.cumsum(gaps[:-1])])
    np.testing.assert_allclose(traffic.requests.arrival_s[:n], expected / 32.0)
    np.testing.assert_allclose(traffic.requests.arrival_s[n:] - PASS_GAP_S, expected / 16.0)
    np.testing.assert_array_equal(traffic.requests.segment_id[:n], traffic.requests.segment_id[n:])
    first = make_traffic(replace(known, load=OpenLoop(32.0, "poisson")), 8192)
    assert len(first.requests) == n
    assert not first.shares_content


def test_questions_that_are_asked_again() -> None:
    asked = replace(row("open"), workload="shared_prefix: sys 100, q 412, out 64, 2 system prompts x 3 users")
    drawn = make_traffic(asked, 8192)
    assert drawn.shares_content
    pairs = drawn.requests.segment_id.reshape(-1, 2)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 6
    assert drawn.requests.segment_tokens.reshape(-1, 2).sum(axis=1).tolist() == [512] * 40


def test_the_same_seed_draws_the_same() -> None:
    one, two, other = (make_traffic(row("open"), 8192, seed=seed).requests for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.arrival_s, two.arrival_s)
    assert not np.array_equal(one.arrival_s, other.arrival_s)
