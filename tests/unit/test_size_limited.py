"""Pools at the end of what a search looks at, and assumptions that further trials move, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulator.decide.assumptions import VOLUME, questions
from simulator.decide.explore import Asked
from simulator.errors import InputError
from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.size.limited import beyond_usd, is_full
from simulator.size.trials import Tried


def pool(name: str = "p", low: int = 1, step: int = 1, scaler: Any = None, is_units: bool = False) -> Any:
    return OpenPool(0, name, low, step, owned=False, scaler=scaler, is_units=is_units)


@pytest.mark.parametrize(
    ("given", "size", "full"),
    [
        ({}, Fixed(8), True),
        ({}, Fixed(7), False),
        ({}, Fixed(9), False),
        ({"step": 3}, Fixed(6), True),
        ({"step": 2}, Fixed(6), False),
        ({"is_units": True}, Fixed(8), False),
        ({"scaler": (1, None, None)}, Scaled(1, 8, 4.0), True),
        ({"scaler": (1, 8, None)}, Scaled(1, 8, 4.0), False),
    ],
)
def test_a_pool_is_full_where_the_search_keeps_it_from_one_step_more(
    given: dict[str, Any], size: Any, full: bool
) -> None:
    assert is_full(pool(**given), size, 8) is full


def searcher(pools: list[Any], trail: list[Tried], best: Tried | None, usd: Any) -> Any:
    """With a limit of 8 replicas a pool; bounds that nobody knows raise."""

    def bound_usd(point: Any) -> float:
        asked.append(point)
        found: float | None = usd(point)
        if found is None:
            raise InputError("cannot be planned")
        return found

    asked: list[Any] = []
    return SimpleNamespace(
        bar=best,
        best=best,
        limits=SimpleNamespace(max_replicas=8),
        trail={tried.point: tried for tried in trail},
        trials=SimpleNamespace(pools=pools, bound_usd=bound_usd),
        asked=asked,
    )


def test_more_of_a_full_pool_is_of_use_where_it_may_cost_less_beside_the_fewest_of_the_others() -> None:
    refused = Tried((Fixed(8), Fixed(2)), "refused")
    best = Tried((Fixed(3), Fixed(5)), "met", usd=(100.0,))
    pools = [pool("a"), pool("b", low=0, step=2)]
    found = searcher(pools, [refused, best], best, lambda point: 10.0 * point[0].replicas + point[1].replicas)
    assert beyond_usd(found) == {"a": 90.0}
    assert found.asked == [(Fixed(9), Fixed(0)), (Fixed(9), Fixed(2))], "none of the other, or one step of it"
    dear = searcher(pools, [refused, best], best, lambda point: 100.0)
    assert beyond_usd(dear) == {}
    assert beyond_usd(searcher(pools, [refused], None, lambda point: 1e9)) == {"a": 1e9}
    assert beyond_usd(searcher(pools, [refused], None, lambda point: None)) == {}
    met = Tried((Fixed(8), Fixed(2)), "met", usd=(200.0,))
    assert beyond_usd(searcher(pools, [met], best, lambda point: 1.0)) == {}, "it was enough"
    assert beyond_usd(searcher(pools, [met], met, lambda point: 1.0)) == {"a": 1.0}, "it is the best"


@pytest.mark.parametrize(
    ("scaler", "low", "size"),
    [
        ((None, None, None), 0, Scaled(1, 10, 1.0)),
        ((None, None, 6.0), 3, Scaled(3, 10, 6.0)),
        ((2, None, 6.0), 3, Scaled(2, 10, 6.0)),
    ],
)
def test_an_autoscaler_goes_beyond_by_a_step_with_the_settings_that_are_written(
    scaler: Any, low: int, size: Scaled
) -> None:
    refused = Tried((Scaled(1, 8, 4.0),), "refused")
    found = searcher([pool("a", low=low, step=2, scaler=scaler)], [refused], None, lambda point: 5.0)
    assert beyond_usd(found) == {"a": 5.0}
    assert found.asked == [(size,)]


def test_assumptions_are_moved_for_the_topologies_that_have_them() -> None:
    asked = [questions((), {}, {}), questions({"a"}, {"b": 0.6}, {"b": 0.4, "c": 0.125})]
    assert [[one.assumption for one in found] for found in asked] == [
        [VOLUME, "latency limits of the SLO"],
        [
            *(VOLUME, "latency limits of the SLO", "time of engine steps", "acceptance of drafts"),
            "answers that a cascade passes on",
        ],
    ]
    assert [one.reach for one in asked[1]] == [16.0, 4.0, 2.0, 4.0, 4.0]
    load, limits, steps, drafts, passed = asked[1]
    first, other = Asked("a"), Asked("b")
    assert (load.ask(first, 3.0).load, limits.ask(first, 3.0).limits) == (3.0, 3.0)
    assert (steps.ask(first, 0.5).steps, steps.ask(other, 0.5)) == (0.5, other)
    assert (drafts.ask(other, 0.5).acceptance, drafts.ask(first, 0.5)) == (0.5, first)
    assert (passed.ask(other, 2.0).passed_on, passed.ask(first, 2.0)) == (2.0, first)
    assert (load.words(2.0), drafts.words(0.5), drafts.words(4.0)) == ("", "0.30 (now 0.60)", "1.00 (now 0.60)")
    assert passed.words(2.0) == "0.80 (now 0.40 in b), 0.25 (now 0.12 in c)"
