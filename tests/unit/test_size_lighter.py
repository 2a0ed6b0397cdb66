"""What lighter loads say of a size, and what a search still looks at, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.perf.device import BatchLimits
from simulator.resolve.given import NO_BOUND, given_step_time
from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.schema.engine import Throughput
from simulator.size.found import Limits
from simulator.size.lighter import Lighter, lighter
from simulator.size.searcher import Searcher, Spent
from simulator.size.trials import Tried


def fixed(*replicas: int) -> tuple[Fixed, ...]:
    return tuple(map(Fixed, replicas))


@pytest.mark.parametrize(
    ("point", "refused"),
    [
        (fixed(3, 4), True),
        (fixed(2, 4), True),
        (fixed(4, 4), False),
        (fixed(3, 5), False),
        (fixed(9, 1), True),
        (fixed(10, 1), False),
    ],
)
def test_a_size_is_refused_with_no_more_replicas_in_any_pool_than_one_that_missed(
    point: tuple[Fixed, ...], refused: bool
) -> None:
    assert Lighter(frozenset({fixed(3, 4), fixed(9, 1)})).refuses(point) is refused
    assert not Lighter().refuses(point)


@pytest.mark.parametrize(
    ("size", "missed", "refused"),
    [
        (Fixed(2), Scaled(2, 8, 4.0), True),
        (Fixed(3), Scaled(2, 8, 4.0), False),
        (Scaled(1, 5, 4.0), Fixed(5), True),
        (Scaled(1, 6, 4.0), Fixed(5), False),
        (Scaled(2, 8, 4.0), Scaled(2, 8, 4.0), True),
        (Scaled(1, 7, 5.0), Scaled(2, 8, 4.0), True),
        (Scaled(3, 8, 4.0), Scaled(2, 8, 4.0), False),
        (Scaled(2, 9, 4.0), Scaled(2, 8, 4.0), False),
        (Scaled(2, 8, 3.0), Scaled(2, 8, 4.0), False),
    ],
)
def test_an_autoscaler_has_no_more_at_any_time_with_no_higher_limits_and_no_lower_target(
    size: Any, missed: Any, refused: bool
) -> None:
    assert Lighter(frozenset({(missed,)})).refuses((size,)) is refused


def test_a_size_costs_what_one_with_the_same_fewest_replicas_and_no_more_cost() -> None:
    known = Lighter(usd={fixed(3): 30.0, (Scaled(3, 5, 4.0),): 25.0, (Scaled(3, 9, 4.0),): 40.0, fixed(2): 99.0})
    assert known.least_usd(fixed(3)) == 30.0
    assert known.least_usd((Scaled(3, 6, 4.0),)) == 30.0
    assert known.least_usd((Scaled(3, 9, 3.0),)) == 40.0, "more replicas at each load"
    assert known.least_usd(fixed(4)) == 0.0


def test_trails_are_joined_and_an_autoscaler_that_misses_with_two_limits_does_so_with_any() -> None:
    one = [
        Tried(fixed(2), "refused"),
        Tried(fixed(3), "met", usd=(30.0, 32.0)),
        Tried(fixed(4), "excluded", usd=(1.0,)),
        Tried((Scaled(1, 4, 8.0),), "refused"),
    ]
    found = lighter([one, [Tried(fixed(3), "met", usd=(29.0,))]])
    assert found.usd == {fixed(3): 31.0}, "the most of several loads"
    assert found.refused == {fixed(2), (Scaled(1, 4, 8.0),)}
    both = lighter([one, [Tried((Scaled(1, 6, 8.0),), "refused"), Tried((Scaled(1, 6, 9.0),), "refused")]])
    assert both.refuses((Scaled(1, 1000, 8.0),))
    assert not lighter([one]).refuses((Scaled(1, 5, 8.0),))
    assert not both.refuses((Scaled(1, 7, 7.5),))


class Counted:
    """Trials that cost 10 USD a replica and meet from the third replica on."""

    def __init__(self, bound_usd: float = 0.0) -> None:
        self.simulated, self.bound = 0, bound_usd
        self.pools = [OpenPool(0, "p", 1, 1, owned=False)]
        self.asked: list[tuple[Any, Any]] = []

    def __call__(self, point: Any, racing: Tried | None) -> Tried:
        self.simulated += 1
        self.asked.append((point, racing))
        return (
            Tried(point, "met", usd=(10.0 * point[0].replicas,)) if point[0].replicas > 2 else Tried(point, "refused")
        )

    def bound_usd(self, point: Any) -> float:
        if point[0].replicas > 100:
            raise InputError("no such fleet")
        return self.bound * point[0].replicas


def searcher(trials: Any, limits: Limits | None = None, **given: Any) -> Searcher:
    return Searcher(trials, limits or Limits(), **given)


def test_a_point_is_looked_at_once_and_the_cheapest_that_met_is_the_bar() -> None:
    trials = Counted()
    search = searcher(trials)
    assert not search.enough(fixed(2))
    assert search.enough(fixed(4))
    assert search.enough(fixed(3))
    assert search.close(fixed(4)).word == "met"
    assert [point for point, _ in trials.asked] == [fixed(2), fixed(4), fixed(3)]
    assert (search.best and search.best.point, search.bar) == (fixed(3), search.best)
    search.rival = Tried(fixed(9), "met", usd=(20.0,))
    assert search.bar is search.rival
    search.rival = Tried(fixed(9), "met", usd=(40.0,))
    assert search.bar is search.best


def test_what_was_refused_at_a_lower_load_is_tried_again_only_where_it_is_asked_for() -> None:
    known = Lighter(frozenset({fixed(5)}), {fixed(8): 50.0})
    assert searcher(Counted(), lighter=known).close(fixed(4)).reason == "refused at a lower load"
    assert searcher(Counted(), lighter=known, then=[fixed(4)]).close(fixed(4)).word == "met"
    assert searcher(Counted(), lighter=known, first=[fixed(4)]).close(fixed(4)).word == "met"
    search = searcher(Counted(), lighter=known)
    assert search.close(fixed(4)).word == "refused"
    assert search.told == {fixed(4)}
    assert (search.close(fixed(4), anew=True).word, search.told) == ("met", set())
    search.close(fixed(4), anew=True)
    assert [point for point, _ in search.trials.asked] == [fixed(4)], "once"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("bar_usd", "word"), [(49.0, "raced out"), (51.0, "met"), (50.0, "met")])
def test_what_cost_no_less_at_a_lower_load_is_out_of_the_race(bar_usd: float, word: str) -> None:
    known, rival = Lighter(usd={fixed(8): 50.0}), Tried(fixed(1), "met", usd=(bar_usd,))
    assert searcher(Counted(), lighter=known, rival=rival).close(fixed(8)).word == word
    assert searcher(Counted(), Limits(prune=False), lighter=known, rival=rival).close(fixed(8)).word == "met"


def test_what_is_bound_to_cost_as_much_is_excluded_but_for_ties_with_fewer_replicas() -> None:
    rival = Tried(fixed(1), "met", usd=(32.0,))
    assert searcher(Counted(8.0), rival=rival).close(fixed(4)).word == "excluded"
    assert searcher(Counted(7.9), rival=rival).close(fixed(4)).word == "met"
    assert searcher(Counted(8.0), Limits(prune=False), rival=rival).close(fixed(4)).word == "met"
    assert searcher(Counted(8.0), rival=rival).close(fixed(101)).word == "met", "a bound that nobody knows"
    best = Tried(fixed(5), "met", usd=(32.0,))
    assert searcher(Counted(8.0), best=best).close(fixed(4), ties=True).word == "met"
    assert searcher(Counted(8.0), best=best).close(fixed(4)).word == "excluded"
    assert searcher(Counted(8.5), best=best).close(fixed(4), ties=True).word == "excluded"
    assert searcher(Counted(6.4), best=best).close(fixed(5), ties=True).word == "excluded", "as many replicas"
    assert searcher(Counted(8.0), best=best, rival=rival).close(fixed(4), ties=True).word == "met"


def test_a_search_ends_with_its_trials_or_its_time_but_one_point_is_simulated() -> None:
    search = searcher(Counted(), Limits(max_trials=2))
    search.close(fixed(1))
    search.close(fixed(2))
    with pytest.raises(Spent):
        search.close(fixed(3))
    late = searcher(Counted(), until_s=0.0)
    assert late.close(fixed(3)).word == "met"
    with pytest.raises(Spent):
        late.close(fixed(4))


def test_trials_race_with_the_bar_where_pruning_is_on() -> None:
    for prune in (True, False):
        trials, rival = Counted(), Tried(fixed(1), "met", usd=(99.0,))
        searcher(trials, Limits(prune=prune), rival=rival).close(fixed(3))
        assert trials.asked == [(fixed(3), rival if prune else None)]


def test_step_times_of_given_rates_are_of_each_batch_up_to_the_largest() -> None:
    """Of 100 output tokens a second and steps of at least 30 ms; a prompt token takes 1 ms, one of each answer none."""
    rates = Throughput(output_tokens_per_s=100.0, input_tokens_per_s=1000.0, tpot_s=0.03)
    found = given_step_time(rates, BatchLimits(6, 4), NO_BOUND, 1)
    steps = np.array([(n, t) for n in range(1, 5) for t in range(n, 7)])
    nothing = np.zeros(len(steps))
    expected_ms = [30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 31, 32, 33, 40, 41, 42]
    assert found.durations_s(*steps.T, nothing, nothing) * 1000 == pytest.approx(expected_ms)
    assert (found.prefill_attn_s, found.decode_attn_s) == (0.0, 0.0)
    with pytest.raises(InputError, match=r"max_num_seqs \(2\) are too few"):
        given_step_time(rates, BatchLimits(6, 2), NO_BOUND, 1)
    assert len(given_step_time(rates, BatchLimits(6, 3), NO_BOUND, 1).seq_time_s) == 4
    bound = SimpleNamespace(output_tokens_per_gpu_s=50.0)
    assert given_step_time(rates, BatchLimits(6, 4), bound, 2).calibrated  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"more than published peaks of 1 GPUs allow \(50\)"):
        given_step_time(rates, BatchLimits(6, 4), bound, 1)  # type: ignore[arg-type]
    alone = given_step_time(Throughput(output_tokens_per_s=100.0), BatchLimits(6, 4), NO_BOUND, 1)
    assert not alone.token_time_s.any()
    assert alone.seq_time_s[1:] == pytest.approx([0.01, 0.02, 0.03, 0.04])
