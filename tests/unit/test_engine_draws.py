"""The kernels' mixing function and what is drawn with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from simulator.engine.config import EngineConfig
from simulator.engine.content import mix
from simulator.engine.modes.drafts.acceptance import (
    chances_by_kind,
    chances_to_find,
    draft_chances,
    drafts_at,
    steps_per_token,
)
from simulator.engine.modes.spec import DraftOdds, Drafts, Modes
from simulator.engine.reference.worker import drawn, found
from simulator.engine.speculation import uniform
from simulator.workload.requests import make_extras, make_requests

_WORD = (1 << 64) - 1


def splitmix64(value: int) -> int:
    """The finaliser as published, on unsigned 64-bit words."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _WORD
    return value ^ (value >> 31)


@settings(deadline=None)
@given(st.integers(0, _WORD))
@example(0)
@example(_WORD)
@example(1 << 63)
def test_mix_is_the_finaliser_of_splitmix64(value: int) -> None:
    signed = np.uint64(value).astype(np.int64)
    assert int(np.int64(mix(signed)).astype(np.uint64)) == splitmix64(value)


@pytest.mark.parametrize("fixed", [0, 13, 2**61 + 5])
def test_draws_are_uniform_in_either_argument(fixed: int) -> None:
    by_request = [uniform(k, fixed) for k in range(20_000)]
    by_stream = [uniform(fixed, k) for k in range(20_000)]
    for draws in (by_request, by_stream):
        assert stats.kstest(draws, "uniform").pvalue > 1e-3
        assert abs(float(np.corrcoef(draws[1:], draws[:-1])[0, 1])) < 0.03


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.7, 1.0])
def test_each_draft_is_accepted_with_its_probability_given_those_before(acceptance: float) -> None:
    accept = drawn(EngineConfig(num_blocks=2, num_speculative_tokens=3, draft_acceptance=acceptance))
    accepted = np.array([accept(request, 7, 3) for request in range(20_000)])
    for k in range(3):
        reached = accepted[accepted >= k]
        if len(reached) > 1000:
            assert abs(float((reached > k).mean()) - acceptance) < 4 * 0.5 / np.sqrt(len(reached))


def test_drafts_are_accepted_in_the_shares_of_their_positions() -> None:
    """Chances 0.8, 0.75 and 0.5, each given those before: 80 %, 60 % and 30 % of the drafts; the draws are the same."""
    config = EngineConfig(num_blocks=2, num_speculative_tokens=3, acceptance_by_position=(0.8, 0.75, 0.5))
    accept = drawn(config)
    accepted = np.array([accept(request, 7, 3) for request in range(20_000)])
    for k, share in enumerate((0.8, 0.6, 0.3)):
        assert abs(float((accepted > k).mean()) - share) < 4 * 0.5 / np.sqrt(len(accepted))
    equal = drawn(replace(config, acceptance_by_position=(0.7, 0.7, 0.7)))
    one = drawn(replace(config, acceptance_by_position=(), draft_acceptance=0.7))
    assert [equal(request, 7, 3) for request in range(1000)] == [one(request, 7, 3) for request in range(1000)]


def of_beta(mean: float, std: float) -> tuple[float, float]:
    """Its two parameters."""
    total = mean * (1 - mean) / std**2 - 1
    return mean * total, (1 - mean) * total


@pytest.mark.parametrize(("mean", "std"), [(0.7, 0.1), (0.7, 0.3), (0.5, 0.45), (0.05, 0.02)])
def test_requests_differ_in_their_acceptance_by_a_beta_distribution(mean: float, std: float) -> None:
    """The first i drafts are all accepted with its i-th moment: the product of (a + j)/(a + b + j)."""
    kinds = chances_by_kind(DraftOdds(mean, std=std), 3)
    assert (kinds == kinds[:, :1]).all()
    assert kinds[:, 0].mean() == pytest.approx(mean, rel=1e-6)
    assert kinds[:, 0].std() == pytest.approx(std, rel=0.02)
    a, b = of_beta(mean, std)
    for i in (2, 3):
        moment = np.prod([(a + j) / (a + b + j) for j in range(i)])
        assert (kinds[:, 0] ** i).mean() == pytest.approx(moment, rel=0.02)


def test_a_request_keeps_its_acceptance() -> None:
    """Over 400 draws of each of 2,000 requests: the means are as far apart as said, and the mean is as said."""
    accept = drawn(EngineConfig(2, num_speculative_tokens=1, draft_acceptance=0.6, acceptance_std=0.2))
    own = np.array([[accept(request, token, 1) for token in range(400)] for request in range(2000)]).mean(axis=1)
    assert own.mean() == pytest.approx(0.6, abs=4 * 0.2 / np.sqrt(2000))
    assert own.std() == pytest.approx(np.hypot(0.2, np.sqrt((0.6 * 0.4 - 0.2**2) / 400)), rel=0.05)


def test_pools_whose_requests_are_alike_have_each_kind_alike() -> None:
    alike = EngineConfig(2, num_speculative_tokens=2, acceptance_by_position=(0.8, 0.5))
    differing = EngineConfig(2, num_speculative_tokens=3, draft_acceptance=0.7, acceptance_std=0.1)
    chances = draft_chances([alike, differing, EngineConfig(2)], 2)
    assert (chances[0] == (0.8, 0.5, 0.0)).all()
    assert (chances[1] == chances_by_kind(*differing.draft_odds, 3)).all()
    assert (chances[2] == 0.0).all()


def test_n_grams_are_found_in_their_share_of_the_steps() -> None:
    make = found(EngineConfig(2, num_speculative_tokens=4, drafted_share=0.3))
    made = np.array([[make(request, token, 4) for token in range(100)] for request in range(200)])
    assert set(made.ravel().tolist()) == {0, 4}
    assert (made > 0).mean() == pytest.approx(0.3, abs=4 * 0.46 / np.sqrt(made.size))
    assert (made > 0).mean(axis=0).std() < 0.05
    assert found(EngineConfig(2))(5, 7, 3) == 3


def runs_of(made: list[int]) -> NDArray[np.int64]:
    """Lengths of runs of steps with drafts, the first and the last left out: they may be cut off."""
    bare = np.flatnonzero(np.array(made) == 0)
    return (gaps := np.diff(bare) - 1)[gaps > 0]


@pytest.mark.parametrize(("share", "run_steps"), [(0.3, 0.0), (0.3, 8.0), (0.6, 1.5), (0.9, 40.0), (0.05, 2.0)])
def test_n_grams_are_found_in_runs_of_their_mean_length(share: float, run_steps: float) -> None:
    """Two states in turn: the share and the mean run hold together; independent steps have runs of 1/(1 - share)."""
    make = found(EngineConfig(2, num_speculative_tokens=4, drafted_share=share, drafted_run_steps=run_steps))
    made = [[make(request, token, 4) for token in range(1500)] for request in range(40)]
    mean = run_steps or 1 / (1 - share)
    runs = np.concatenate([runs_of(one) for one in made])
    off = mean * share**-1
    assert runs.mean() == pytest.approx(mean, abs=4 * mean / np.sqrt(len(runs)))
    assert (np.array(made) > 0).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) * 2 * off / 60_000))
    assert np.mean([one[0] > 0 for one in made]) == pytest.approx(share, abs=4 * 0.5 / np.sqrt(40))


def test_the_shortest_run_of_a_share_leaves_one_step_without_drafts_between_runs() -> None:
    """Of 60 % in runs of 1.5: after a step without drafts there always are some."""
    assert chances_to_find(DraftOdds(drafted_share=0.6, run_steps=1.5)) == pytest.approx((0.6, 1.0, 1 / 3))
    assert chances_to_find(DraftOdds(drafted_share=0.6)) == (0.6, 0.6, 0.6)
    assert chances_to_find(DraftOdds(drafted_share=0.6, run_steps=2.5)) == pytest.approx((0.6, 0.6, 0.6))


def test_a_class_and_a_request_have_their_own_acceptance() -> None:
    """Mean accepted tokens of a step are the closed form of each class, and of the requests that tell their own."""
    n = 30_000
    odds = (DraftOdds(0.9), DraftOdds(by_position=(0.5, 0.2, 1.0)), DraftOdds(0.6, std=0.2))
    config = EngineConfig(2, num_speculative_tokens=3, draft_acceptance=0.1, odds_by_class=odds)
    own = np.where(np.arange(n) % 10 == 0, 0.3, -1.0)
    asked = make_requests(np.arange(n, dtype=float), np.ones(n, int), np.ones(n, int), class_id=np.arange(n) % 3)
    asked = replace(asked, extras=make_extras(n, acceptance=own))
    accept = drawn(config, asked)
    accepted = np.array([accept(request, 7, 3) for request in range(n)])
    a, b = of_beta(0.6, 0.2)
    moments = [np.prod([(a + j) / (a + b + j) for j in range(i)]) for i in (1, 2, 3)]
    expected = (0.9 + 0.9**2 + 0.9**3, 0.5 + 0.1 + 0.1, float(np.sum(moments)))
    for class_id, mean in enumerate(expected):
        mine = accepted[(asked.class_id == class_id) & (own < 0)]
        assert mine.mean() == pytest.approx(mean, abs=4 * 1.4 / np.sqrt(len(mine)))
    assert accepted[own > 0].mean() == pytest.approx(0.3 + 0.09 + 0.027, abs=4 * 0.7 / np.sqrt(n / 10))


def test_steps_per_token_are_the_mean_over_classes() -> None:
    config = EngineConfig(
        2, num_speculative_tokens=1, odds_by_class=(DraftOdds(1.0), DraftOdds(0.5, drafted_share=0.5))
    )
    assert steps_per_token(config) == pytest.approx((1 / 2 + 1 / 1.25) / 2)


@pytest.mark.parametrize(("acceptance", "drafts"), [(0.0, 3), (0.6, 1), (0.8, 5), (1.0, 4)])
def test_tokens_per_step_match_the_closed_form(acceptance: float, drafts: int) -> None:
    closed = drafts + 1 if acceptance == 1.0 else (1 - acceptance ** (drafts + 1)) / (1 - acceptance)
    config = EngineConfig(2, num_speculative_tokens=drafts, draft_acceptance=acceptance)
    assert 1 / steps_per_token(config) == pytest.approx(closed)


def test_tokens_per_step_are_the_accepted_shares_and_one() -> None:
    """Of 80 % of the first, 60 % of the second and 45 % of the third drafts: 1 + 0.8 + 0.6 + 0.45; of half the steps
    half as many more, and none without drafts."""
    config = EngineConfig(2, num_speculative_tokens=3, acceptance_by_position=(0.8, 0.75, 0.75))
    assert 1 / steps_per_token(config) == pytest.approx(1 + 0.8 + 0.6 + 0.45)
    assert 1 / steps_per_token(replace(config, drafted_share=0.5)) == pytest.approx(1 + (0.8 + 0.6 + 0.45) / 2)
    assert steps_per_token(EngineConfig(2)) == 1.0


def test_a_request_with_fewer_accepted_drafts_takes_more_steps() -> None:
    """One draft: the mean of 1/(1 + acceptance) over requests, here of a Beta distribution that is even."""
    even = EngineConfig(2, num_speculative_tokens=1, draft_acceptance=0.5, acceptance_std=float(np.sqrt(1 / 12)))
    assert steps_per_token(even) == pytest.approx(np.log(2), rel=1e-3)


def test_drafts_of_a_batch_are_those_of_its_row() -> None:
    rows = ((1, 8, 3), (9, 16, 1), (17, 32, 0))
    config = EngineConfig(2, num_speculative_tokens=3, draft_acceptance=0.5)
    tabled = replace(config, modes=Modes(drafts=Drafts(3, 3, by_batch_size=rows)))
    assert [drafts_at(tabled, n) for n in (1, 8, 9, 17, 99)] == [3, 3, 1, 0, 0]
    assert drafts_at(config, 99) == 3
    assert steps_per_token(tabled, 1) == pytest.approx(1 / 1.5)
    assert steps_per_token(tabled, 0) == 1.0
