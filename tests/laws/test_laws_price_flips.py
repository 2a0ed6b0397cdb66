"""Flips of prices with sizes searched anew, on topologies whose every way to serve is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from bill_cases import fixed, pool, provider, rented
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from priced_cases import costed

from simulator.bill.sums import mean
from simulator.decide.costed import Costed
from simulator.decide.explore import OutOfTime
from simulator.decide.flips import money_flips
from simulator.decide.months import walk
from simulator.decide.price_flips import Way, price_flips
from simulator.decide.rivals import least
from simulator.decide.why import flip_words
from simulator.study.contract import Credit
from simulator.study.decision import Flip, Served, Trail
from simulator.study.demand import Growth, Horizon
from simulator.study.terms import ApiTerms, Terms, TokenPrices
from simulator.study.usage import Usage

RENT = "price of rented GPUs"
HOUR_S = 3600.0
USAGE = Usage(
    HOUR_S,
    (pool(gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S, zone_down_s=0.2 * HOUR_S),),
    (provider([[[1_000_000, 0, 0, 0]]]),),
)
Line = tuple[float, float]
"""USD an hour of rent, and of tokens; or those of rent that are agreed, and the share that is given back."""
_NOTHING = (0.0, 0.0)


def _way(name: str, line: Line, agreed: Line) -> Costed:
    (rent, tokens), (least, share) = line, agreed
    api = ApiTerms("api", (TokenPrices(0, *(tokens,) * 4),), (1.0,))
    offer = rented(usd=rent, minimum_usd_per_month=730 * least, credits=(Credit(0.9, share),) if share else ())
    walked = walk(Horizon(2, (Growth(),)), lambda sizes, load, asked: Served(True, 1.0, "", (USAGE,)), (1,))
    return costed(name, Terms(name, rented=(offer,), apis=(api,), months=2), walked)


def _usd(line: Line, factor: float, agreed: Line) -> float:
    rent, (least, share) = factor * line[0], agreed
    return 730 * (max(rent, least) - share * rent + line[1])


class Known:
    """Topologies by their ways to serve; the search finds the cheapest of a topology's."""

    def __init__(self, lines: dict[str, Sequence[Line]], agreed: Mapping[str, Line] | None = None) -> None:
        self.lines = lines
        self.agreed = dict.fromkeys(lines, _NOTHING) | dict(agreed or {})
        self.ways = {name: [_way(name, line, self.agreed[name]) for line in each] for name, each in lines.items()}
        self.today = [self.ways[name][self._best(name, 1.0)] for name in lines]
        self.winners = least({one.name: one.usd_per_month for one in self.today})
        for one in self.today:
            assert one.usd_per_month == pytest.approx(self._least(one.name, 1.0))
        self.asked: list[str] = []

    def search(self, name: str, change: Callable[[Terms], Terms]) -> Way:
        self.asked.append(name)
        one = Terms("one", rented=(rented(usd=1.0),))
        factor = mean(change(one).rented[0].usd_per_instance_hour[0])
        best = self.ways[name][self._best(name, factor)]
        return Way(best.terms, best.uses)

    def _best(self, name: str, factor: float) -> int:
        usd = [_usd(line, factor, self.agreed[name]) for line in self.lines[name]]
        return usd.index(min(usd))

    def _least(self, name: str, factor: float) -> float:
        return _usd(self.lines[name][self._best(name, factor)], factor, self.agreed[name])

    def flip(self, search: Callable[[str, Callable[[Terms], Terms]], Way | None] | None = None) -> Flip:
        terms = {name: [way.terms for way in each] for name, each in self.ways.items() if len(each) > 1}
        found = price_flips(self.today, self.winners, search or self.search, terms)
        return next(one for one in found if one.assumption == RENT)

    def flips_at(self, factor: float) -> bool:
        cost = {name: self._least(name, factor) for name in self.lines}
        return not least(cost) & self.winners


USD = st.floats(0.1, 100.0)
WAYS = st.lists(st.tuples(USD, USD), min_size=1, max_size=4)


@given(WAYS, WAYS)
@example(
    [(31.7, 43.2), (76.2, 78.6), (19.1, 62.6), (16.6, 97.3)], [(58.2, 93.3), (14.9, 94.6), (46.0, 16.3), (77.9, 89.4)]
)
@settings(max_examples=25, deadline=None)
def test_both_sides_are_at_their_best_at_the_flip(a: list[Line], b: list[Line]) -> None:
    """Wherever the lines cross: the flip is one with all ways known, and nothing nearer is."""
    known = Known({"a": a, "b": b})
    assume(len(known.winners) == 1)
    flip = known.flip()
    assert flip.sure
    far = 10.0 if flip.factor is None else max(flip.factor, 1 / flip.factor)
    steps = [10 ** (0.1 * k) for k in range(11) if 10 ** (0.1 * k) < far / 1.011]
    assert not any(known.flips_at(each) for step in steps for each in (step, 1 / step))
    assert flip.factor is None or known.flips_at(flip.factor)
    assert len(known.asked) <= 60


def test_a_size_that_only_the_new_price_favours_moves_the_flip_either_way() -> None:
    """The winner that rents less puts it off, the loser that rents more brings it nearer."""
    once = Known({"a": [(10.0, 10.0)], "b": [(1.0, 49.0)]}).flip()
    assert once.factor == pytest.approx(13 / 3, rel=0.011)
    later = Known({"a": [(10.0, 10.0), (5.0, 20.0)], "b": [(1.0, 49.0)]}).flip()
    assert later.factor == pytest.approx(29 / 4, rel=0.011)
    sooner = Known({"a": [(10.0, 10.0)], "b": [(1.0, 49.0), (0.1, 50.5)]}).flip()
    assert sooner.factor == pytest.approx(40.5 / 9.9, rel=0.011)


def test_a_spend_with_credits_costs_less_at_prices_that_neither_reach_it_nor_give_back_little() -> None:
    """$50 an hour are agreed, half of what is used is given back. One machine is best at today's price ($49.50) and at
    × 10 ($45); ten and tokens for $5 at all between where it costs 55 - 5 f, less than a rival's $40 from × 3 on.
    """
    known = Known({"a": [(0.0, 40.0)], "b": [(1.0, 0.0), (10.0, 5.0)]}, agreed={"b": (50.0, 0.5)})
    assert known.flip().factor == pytest.approx(3.0, rel=0.011)
    assert known.asked.count("b") > 1
    assert known.flip().winner == "b"


AGREED = st.tuples(st.floats(1.0, 300.0), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))


@given(WAYS, WAYS, AGREED, AGREED)
@settings(max_examples=25, deadline=None)
def test_no_flip_that_a_spend_with_credits_makes_is_missed(
    a: list[Line], b: list[Line], ours: Line, theirs: Line
) -> None:
    """Nor is one farther away than another, at any of ten multiples."""
    known = Known({"a": a, "b": b}, agreed={"a": ours, "b": theirs})
    assume(len(known.winners) == 1)
    flip = known.flip()
    far = 10.0 if flip.factor is None else max(flip.factor, 1 / flip.factor)
    steps = [10 ** (0.1 * k) for k in range(11) if 10 ** (0.1 * k) < far / 1.011]
    assert not any(known.flips_at(each) for step in steps for each in (step, 1 / step))
    assert flip.factor is None or known.flips_at(flip.factor)


def test_without_time_it_is_the_flip_of_sizes_that_stay() -> None:
    known = Known({"a": [(10.0, 10.0), (5.0, 20.0)], "b": [(1.0, 49.0)]})

    def late(name: str, change: Callable[[Terms], Terms]) -> Way:
        raise OutOfTime

    flip = known.flip(late)
    (stays,) = (one for one in money_flips(known.today) if one.assumption == RENT)
    assert not flip.sure
    assert (flip.factor, flip.winner) == (stays.factor, stays.winner)


def test_a_topology_whose_size_is_written_is_not_searched() -> None:
    known = Known({"a": [(10.0, 10.0), (5.0, 20.0)], "b": [(1.0, 49.0)]})
    known.flip()
    assert set(known.asked) == {"a"}


def test_at_sizes_that_are_written_a_flip_is_sure_and_as_exact_as_it_is_shown() -> None:
    """10 f + 10 = f + 49: there is no other size to search, so it is not about there but there."""
    written = Known({"a": [(10.0, 10.0)], "b": [(1.0, 49.0)]})
    (flip,) = (one for one in money_flips(written.today) if one.assumption == RENT)
    assert flip.sure
    assert flip_words(flip).startswith("price of rented GPUs at × 4.3")
    assert flip.factor == pytest.approx(39 / 9, rel=0.001)
    searched = [replace(one, trail=Trail("proved", 3)) if one.name == "b" else one for one in written.today]
    assert [one.sure for one in money_flips(searched)] == [False] * len(money_flips(searched))
