"""The requests of published results, drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrate.serving.measured import Burst, ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.read import read_tables
from calibrate.serving.sources import Spread, length_spreads
from calibrate.serving.traffic import PASS_GAP_S, _in_turn, _lengths, _paired, make_traffic, number_of_requests

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


def test_lengths_of_a_known_data_set_have_its_quantiles_scaled_to_the_rows_mean() -> None:
    """Of ShareGPT a quarter of the outputs is shorter than a fifth of the middle one, and long prompts have short
    ones; a row's own coefficient of variation takes its place."""
    chat = replace(row("constant"), num_requests=2000)
    requests = make_traffic(chat, 8192).requests
    assert requests.osl.mean() == pytest.approx(220, rel=0.01)
    assert requests.isl.mean() == pytest.approx(205, rel=0.01)
    low, middle, high = np.quantile(requests.osl, [0.25, 0.5, 0.95])
    assert (low / middle, high / middle) == pytest.approx((28 / 147, 721 / 147), rel=0.05)
    ranks = [np.argsort(np.argsort(lengths, kind="stable")) for lengths in (requests.isl, requests.osl)]
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(-0.41, abs=0.05)
    own = length_spreads(replace(chat, osl_cv=0.4))
    assert (own[0].kind, own[1].kind, own[1].cv, own[1].rank_correlation) == ("quantiles", "lognormal", 0.4, 0.0)
    narrow, plain = (length_spreads(chat, scale)[1].quantiles for scale in (0.5, 1.0))
    assert narrow == pytest.approx([ratio**0.5 for ratio in plain])


def test_pairs_keep_both_lengths_and_may_go_together_fully() -> None:
    isl, osl = np.array([30, 10, 20]), np.array([5, 7, 6])
    assert _paired(isl, osl, 1.0, np.random.default_rng(0)).tolist() == [7, 5, 6]
    assert _paired(isl, osl, -1.0, np.random.default_rng(0)).tolist() == [5, 7, 6]


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
    assert drawn.requests.segment_tokens.reshape(-1, 2).tolist() == [[100, 412]] * 40
    assert drawn.requests.segment_start.tolist() == list(range(0, 81, 2))
    assert pairs[:7].tolist() == [[0, 2], [1, 3], [0, 4], [1, 5], [0, 6], [1, 7], [0, 2]], "in turn"


def test_system_prompts_alone_are_shared_in_turn_and_no_longer_than_a_prompt() -> None:
    asked = replace(row("open"), workload="sys 600, out 64, 3 system prompts")
    drawn = make_traffic(asked, 8192)
    assert drawn.shares_content
    assert drawn.requests.segment_id.tolist() == [0, 1, 2] * 13 + [0]
    assert drawn.requests.segment_tokens.tolist() == [512] * 40
    assert drawn.requests.segment_start.tolist() == list(range(41))


@pytest.mark.parametrize(
    ("load", "count"),
    [
        (ClosedLoop(7), 70),
        (Burst(), 1000),
        (OpenLoop(2.0, "poisson"), 600),
        (OpenLoop(0.1, "poisson"), 100),
        (OpenLoop(900.0, "poisson"), 20_000),
    ],
)
def test_requests_are_enough_where_their_number_is_not_stated(load: Burst | ClosedLoop | OpenLoop, count: int) -> None:
    assert number_of_requests(replace(row("open"), load=load, num_requests=None)) == count
    assert number_of_requests(replace(row("open"), load=load, num_requests=9)) == 9


def test_users_begin_within_moments_and_think_as_long_between_their_requests() -> None:
    drawn = make_traffic(replace(row("closed"), load=ClosedLoop(400)), 8192).requests
    begun, later = drawn.arrival_s[:400], drawn.think_s[400:]
    assert np.all(np.diff(begun) >= 0)
    assert begun.mean() == pytest.approx(0.005, rel=0.15), "5 ms, exponentially"
    assert later.mean() == pytest.approx(0.005, rel=0.05)
    assert later.std() == pytest.approx(0.005, rel=0.1)
    assert not drawn.think_s[:400].any()
    assert np.isnan(drawn.arrival_s[400:]).all()
    assert len(make_traffic(replace(row("closed"), num_requests=21), 8192).requests) == 21
    assert len(make_traffic(replace(row("closed"), num_requests=5), 8192).requests) == 8, "one of each user at least"


def test_whoever_has_decoded_the_fewest_tokens_sends_the_next_request() -> None:
    """Two users with outputs of 5 and 2: the second sends those of 4 and, at 6 against 5, the first that of 1."""
    user, following = _in_turn(np.array([5, 2, 4, 1, 9]), 2)
    assert user.tolist() == [0, 1, 1, 0, 1], "5 against 6, then 6 and 6: the one who sent first"
    assert following.tolist() == [3, 2, 4, -1, -1]


def test_what_does_not_fit_the_context_is_cut() -> None:
    long = replace(row("open"), isl=900.0, osl=300.0, generated_tokens=300.0)
    drawn = make_traffic(long, 1000).requests
    assert (set(drawn.isl.tolist()), set(drawn.osl.tolist())) == ({700}, {300})
    drawn = make_traffic(replace(long, generated_tokens=5000.0), 1000).requests
    assert (set(drawn.isl.tolist()), set(drawn.osl.tolist())) == ({1}, {999})


def test_lengths_have_the_quantiles_of_their_distribution() -> None:
    draw = np.random.default_rng(1)
    even = _lengths(100.0, Spread("uniform", 0.5, 1.5, 0.0, 1, 8192), 4, 8192, draw)
    assert sorted(even.tolist()) == [62, 88, 112, 138], "100 x (0.5 + 1/8, 3/8, 5/8, 7/8), rounded to even"
    spread = _lengths(100.0, Spread("lognormal", 0.0, 0.0, 1.0, 1, 8192), 999, 8192, draw)
    sigma = np.sqrt(np.log(2.0))
    assert spread.mean() == pytest.approx(100.0, rel=0.01)
    low, middle, high = np.quantile(spread, [0.1587, 0.5, 0.8413])
    assert (middle / low, high / middle) == pytest.approx((np.exp(sigma), np.exp(sigma)), rel=0.03)
    assert set(_lengths(0.2, Spread("lognormal", 0.0, 0.0, 0.0, 1, 8192), 3, 8192, draw).tolist()) == {1}


def test_the_same_seed_draws_the_same() -> None:
    one, two, other = (make_traffic(row("open"), 8192, seed=seed).requests for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.arrival_s, two.arrival_s)
    assert not np.array_equal(one.arrival_s, other.arrival_s)
