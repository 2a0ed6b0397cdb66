"""Which fleets a plan takes of those that were tried: small parts by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.plan.sizing import _below, _more, minimal, size, with_left_open
from simulator.resolve.sizes import Fixed, Scaled
from simulator.size.found import Limits, Search
from simulator.size.trials import Tried
from simulator.size.words import gap_warnings


def met(*points: tuple[Any, ...], refused: tuple[Any, ...] = (), claim: str = "minimal", best: Any = None) -> Search:
    trail = [Tried(point, "met", (1.0,)) for point in points]
    trail += [Tried(refused, "refused")] if refused else []
    return Search(None if best is None else Tried(best, "met", (1.0,)), tuple(trail), claim)


def test_minimal_fleets_are_those_of_which_no_smaller_one_met() -> None:
    points = [(Fixed(a), Fixed(b)) for a, b in ((3, 1), (1, 4), (2, 2), (3, 2), (2, 3), (1, 5))]
    assert [tuple(size.most for size in point) for point in minimal(met(*points, refused=(Fixed(1), Fixed(1))))] == [
        (1, 4),
        (2, 2),
        (3, 1),
    ]
    assert minimal(met()) == ()
    three = (Fixed(1), Fixed(2), Fixed(3))
    assert minimal(met(three, (Fixed(1), Fixed(1), Fixed(9)), best=three)) == (three,)
    two = (Fixed(2), Fixed(2))
    assert len(minimal(met(*points, best=two))) == 3, "of two pools all are told"


def test_below_is_no_larger_in_any_pool_and_not_the_same() -> None:
    assert _below((1, 2), (1, 3))
    assert not _below((1, 2), (1, 2))
    assert not _below((1, 4), (2, 3))


def test_spare_replicas_come_on_top_of_those_that_are_there() -> None:
    assert _more(Fixed(3), 2) == Fixed(5)
    assert _more(Fixed(0), 2) == Fixed(0)
    assert _more(Scaled(1, 4, 8.0), 2) == Scaled(1, 6, 8.0)


def test_what_other_hours_leave_open_is_left_open_of_the_plan() -> None:
    """At the hours that were taken one replica more is all that is open; at others there may be more of a pool."""
    best = Tried((Fixed(4),), "met", (100.0,))
    found = Search(best, (best,), "proved", least_usd=90.0)
    hours = Search(best, (best,), "best of 9 tried", least_usd=60.0, limited=("gpus",))
    told = with_left_open(found, hours)
    assert (told.claim, told.gap_usd, told.limited) == ("proved", 40.0, ("gpus",))
    assert gap_warnings(told) == [
        "more of gpus might cost less: --max-replicas 64 may be raised; at most 40% could be saved"
    ]
    cut = with_left_open(replace(found, least_usd=None), replace(hours, claim="not finished"))
    assert (cut.is_finished, cut.gap_usd) == (False, 40.0)
    assert with_left_open(found, replace(hours, least_usd=None, limited=())) == found


def test_a_plan_at_the_best_hours_has_its_own_fleets_and_what_other_hours_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, other = Tried((Fixed(4),), "met", (100.0,)), Tried((Fixed(6),), "met", (150.0,))
    found = Search(own, (own,), "proved", least_usd=90.0)
    hours = Search(other, (other,), "best of 9 tried", least_usd=60.0, limited=("gpus",))
    at_nine: Any = SimpleNamespace(settings=None, loaded=None, topology="t", pools=lambda: ())
    asked: Any = SimpleNamespace(**vars(at_nine), at_hours={"9-14": at_nine}.get)
    made_up: dict[str, Any] = {
        "has_open_threshold": lambda settings: False,
        "open_windows": lambda settings: True,
        "best_window": lambda *of, **more: SimpleNamespace(hours="9-14", search=hours),
        "Trials": lambda *of: None,
        "with_sizes": lambda *of: None,
        "planned_at": lambda *of: None,
        "fleets": lambda *of: (found, (own.point,)),
    }
    for name, value in made_up.items():
        monkeypatch.setattr(f"simulator.plan.sizing.{name}", value)
    nothing: Any = SimpleNamespace(first_month=())
    told = size(asked, nothing, nothing, Limits(), nothing)
    assert told.candidate is at_nine
    assert told.points == ((Fixed(4),),)
    assert told.found == replace(found, least_usd=60.0, limited=("gpus",))
