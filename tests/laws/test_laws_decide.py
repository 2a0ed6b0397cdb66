"""Bills of months compared: break-even, flips and the verdict, with fleets and prices made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from bill_cases import FREE, PLAIN_SERVER, fixed, month, owned, pool, provider, rented, servers
from hypothesis import given, settings
from hypothesis import strategies as st
from priced_cases import costed

from simulator.decide.break_even import break_evens, hours_per_day, volume
from simulator.decide.costed import Costed, months
from simulator.decide.flips import smallest_change
from simulator.decide.months import walk
from simulator.decide.rivals import cheapest_in, share_together
from simulator.decide.verdict import decide
from simulator.money import money
from simulator.report.decision import pair_rows
from simulator.run.left_open import spans
from simulator.run.orders import early_orders
from simulator.study.decision import Served, Sizes
from simulator.study.demand import Growth, Horizon, Load, MonthLoad
from simulator.study.terms import ApiTerms, Fee, Terms, TokenPrices
from simulator.study.usage import Usage

HOUR_S = 3600.0


def _usage(replicas: int, load: float = 1.0) -> Usage:
    return Usage(
        HOUR_S,
        (pool(gpus=8, stays=fixed(replicas, HOUR_S), end_s=HOUR_S),),
        (provider([[[int(1_000_000 * load), 0, 0, int(100_000 * load)]]]),),
        servers=(servers(replicas, ["pool"], HOUR_S),),
    )


def _own(capex: float = 250_000.0, growing: bool = False, growth: float = 0.0, **more: float) -> Costed:
    server = replace(PLAIN_SERVER, capex_usd=capex, life_years=5.0, **more)  # type: ignore[arg-type]
    terms = Terms("own", owned=(owned(server=server, facility=FREE),), apis=(_api(0.0),), months=36)
    return _costed("own", terms, growth, growing)


def _api(usd: float) -> ApiTerms:
    return ApiTerms("api", (TokenPrices(0, usd, usd, usd, usd),), (1.0,))


def _rent(usd: float, name: str = "rent", growth: float = 0.0, growing: bool = False) -> Costed:
    return _costed(name, Terms(name, rented=(rented(usd=usd),), apis=(_api(0.0),), months=36), growth, growing)


def _tokens(usd: float, growth: float = 0.0) -> Costed:
    offer = rented(usd=0.0)
    return _costed(
        "tokens", Terms("tokens", rented=(offer,), apis=(_api(usd),), months=36), growth, False, most=math.inf
    )


def _costed(name: str, terms: Terms, growth: float, growing: bool, most: float = 2.0, months: int = 36) -> Costed:
    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        (level,) = load.level
        met = level <= sizes[0] * most
        return Served(met, 1.0 if met else 0.5, "chat: p99 of TTFT 9.0 s, limit 2.0 s", (_usage(sizes[0], level),) * 2)

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes:
        return (math.ceil(asked.level[0] / most),)

    walked = walk(Horizon(months, (Growth(growth),)), trial, (1,), search if growing else None, (bool(terms.owned),))
    return costed(name, terms, walked)


def test_published_months_of_lenovo_lp2368() -> None:
    server = replace(PLAIN_SERVER, capex_usd=250_141.80, life_years=5.0, reserved_kw=1.0)
    place = replace(FREE, usd_per_kw_month=6.37 * 730)
    own = _costed(
        "own", Terms("own", owned=(owned(server=server, facility=place),), apis=(_api(0.0),), months=36), 0, False
    )
    assert own.usd_per_month == pytest.approx(8819.13, rel=1e-4)
    for usd, expected in ((98.32, 3.73), (62.92, 6.06), (43.16, 9.31), (39.32, 10.40)):
        found = break_evens([own, _rent(usd)])[0]
        assert (found.topology, found.rival) == ("own", "rent")
        assert found.months == pytest.approx(expected, abs=0.005)
        assert found.months_discounted == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("load", [30.0, 5.0, 0.5])
def test_published_hours_of_use_do_not_depend_on_the_load(load: float) -> None:
    server = replace(PLAIN_SERVER, capex_usd=277_897.75, life_years=5.0, reserved_kw=1.0)
    place = replace(FREE, usd_per_kw_month=8.79 * 730)
    usage = _usage(1, load)
    terms = Terms("own", owned=(owned(server=server, facility=place),), apis=(_api(0.0),), months=36)
    walked = walk(Horizon(36, (Growth(),)), lambda sizes, level, asked: Served(True, 1.0, "", (usage,)), (1,))
    own = costed("own", terms, walked)
    rent = costed("rent", Terms("rent", rented=(rented(usd=84.81),), apis=(_api(0.0),), months=36), walked)
    found = break_evens([own, rent])[0]
    assert found.hours_per_day == pytest.approx(4.283, rel=0.001)
    assert decide([own, rent]).ranking.order == ("own", "rent")


def test_a_finite_job_has_no_hours_of_use_a_day() -> None:
    """Both sides are paid for the hours of the job alone: no hours of the day decide between them."""
    rent, dear = _rent(10.0), _rent(20.0, "dear")
    assert break_evens([rent, dear])[0].hours_per_day is not None
    jobs = [replace(one, terms=replace(one.terms, jobs_per_month=3.0)) for one in (rent, dear)]
    assert [pair.hours_per_day for pair in break_evens(jobs)] == [None, None]


def test_rent_by_the_clock_has_no_hours_of_use_at_which_it_would_pay() -> None:
    """Its own hours are in its bill already: only what runs all the time can be used for more of them or fewer."""
    always, dear = _rent(10.0), _rent(20.0, "dear")
    half = pool(gpus=8, stays=fixed(1, HOUR_S / 2), end_s=HOUR_S)
    usage = replace(_usage(1), pools=(half,))
    walked = walk(Horizon(36, (Growth(),)), lambda sizes, level, asked: Served(True, 1.0, "", (usage,)), (1,))
    by_clock = costed("by clock", dear.terms, walked)
    found = {(one.topology, one.rival): one for one in break_evens([by_clock, always, dear])}
    assert found["rent", "dear"].hours_per_day is not None
    for rival in ("rent", "dear"):
        told = found["by clock", rival]
        assert (told.hours_per_day, told.hours_below) == (None, None)


def test_resale_at_the_end_is_no_payback() -> None:
    kept = _own(2_000_000.0, resale_share_by_age=((3.0, 0.99),))  # type: ignore[arg-type]
    rent = _rent(20.0)
    assert kept.bill.npv_usd < rent.bill.npv_usd, "with the sale it would have paid"
    assert break_evens([kept, rent])[0].months is None


def test_rent_breaks_even_with_rent_and_with_tokens() -> None:
    found = {(one.topology, one.rival): one for one in break_evens([_rent(10.0), _rent(20.0, "dear"), _tokens(5.0)])}
    assert len(found) == 6
    assert found["rent", "dear"].months == 0.0
    assert found["dear", "rent"].months is None
    assert found["tokens", "rent"].hours_per_day is not None


def test_rivals_that_miss_the_slo_are_no_rivals() -> None:
    failing = _rent(1.0, "failing", growth=2.0)
    assert not failing.meets
    found = break_evens([_own(growth=2.0, growing=True), failing])
    assert [(one.topology, one.rival) for one in found] == [("failing", "own")]
    assert found[0].months is found[0].months_discounted is found[0].hours_per_day is None, "it does not do the work"


def test_the_same_fleet_under_another_name_is_no_rival() -> None:
    mine, twin = (replace(_rent(10.0, name), fleet="one") for name in ("mine", "twin"))
    pairs = {(one.topology, one.rival) for one in break_evens([mine, twin, _rent(20.0, "dear")])}
    assert pairs == {("mine", "dear"), ("twin", "dear"), ("dear", "mine"), ("dear", "twin")}


def test_of_two_that_pay_the_same_neither_ever_costs_less() -> None:
    for pair in break_evens([_rent(1000.0, "one"), _rent(1000.0, "other")]):
        assert pair.months is None
        assert pair.months_discounted is None
    cheaper, dearer = break_evens([_rent(999.0, "one"), _rent(1000.0, "other")])
    assert cheaper.months == 0.0
    assert dearer.months is None


def test_a_row_of_break_even_says_who_misses_the_slo() -> None:
    pair = {
        "rival": "serves",
        "months": None,
        "months_discounted": None,
        "hours_per_day": None,
        "hours_below": None,
        "volume": None,
    }
    decision = {
        "topologies": {
            "serves": {"months": [{"meets": True}], "break_even": []},
            "fails": {"months": [{"meets": True}, {"meets": False}], "break_even": [pair]},
        }
    }
    (row,) = pair_rows(decision, ["serves", "fails"])
    assert row == ["fails (misses the SLO)", "serves", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    ("above", "below", "words"),
    [
        (None, None, "-"),
        (0.0, None, "always"),
        (0.004, None, "always"),
        (7.806, None, "above 7.81"),
        (23.996, None, "never"),
        (31.0, None, "never"),
        (None, 24.0, "always"),
        (None, 2.594, "below 2.59"),
        (None, 0.004, "never"),
    ],
)
def test_hours_of_use_say_when_there_is_no_bound(above: float | None, below: float | None, words: str) -> None:
    pair = {"rival": "other", "months": 1.0, "months_discounted": 1.0, "volume": None}
    found = {"months": [{"meets": True}], "break_even": [pair | {"hours_per_day": above, "hours_below": below}]}
    ((*_, hours, _),) = pair_rows(
        {"topologies": {"one": found, "other": {"months": [{"meets": True}], "break_even": []}}}, ["one", "other"]
    )
    assert hours == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [(0.0, "$0"), (0.43, "$0.43"), (1.666, "$1.67"), (99.99, "$99.99"), (100.0, "$100"), (12345.6, "$12,346")],
)
def test_a_small_bill_is_told_to_the_cent(usd: float, words: str) -> None:
    assert money(usd) == words


def test_growth_that_passes_capacity_fails_owned_and_rented_alike() -> None:
    own, rent, grows = _own(growth=1.0), _rent(20.0, growth=1.0), _rent(20.0, "grows", growth=1.0, growing=True)
    assert own.lasts_until == rent.lasts_until == 13
    found = decide([own, rent, grows])
    assert found.ranking.winners == ("grows",)
    assert {one.topology: one.kind for one in found.bindings} == {"own": "slo", "rent": "slo"}
    assert "own meets the SLO until month 13" in found.text


def test_servers_are_ordered_ahead_and_bought_whole() -> None:
    found = months(_own(growth=1.0, growing=True, lead_months=2.5))
    assert [month.servers for month in found] == sorted(month.servers for month in found)
    assert found[0].ordered == sum(month.arriving for month in found[:4])
    assert sum(month.ordered for month in found) == sum(month.arriving for month in found) == found[-1].servers
    for k, row in enumerate(found[1:-3], start=1):
        assert row.ordered == found[k + 3].arriving


@pytest.mark.parametrize(("lead_months", "until"), [(0.0, 0), (1.0, 0), (2.5, 3), (100.0, 99)])
def test_orders_before_the_study_are_told(lead_months: float, until: int) -> None:
    grown = _own(growth=1.0, growing=True, lead_months=lead_months)
    rows = months(grown)
    late = [row.month for row in rows[1:] if row.arriving and row.month <= until]
    assert len(early_orders(grown)) == bool(late)
    for text in early_orders(grown):
        assert text.startswith(f"servers that {spans(late)} add")
        assert f" {math.ceil(lead_months) - late[0] + 1} month" in text


def test_a_copy_under_another_name_shares_the_verdict() -> None:
    twin = replace(_rent(20.0), name="twin")
    found = decide([_rent(20.0), twin, _tokens(500.0)])
    assert set(found.ranking.winners) == {"rent", "twin"}


def test_what_the_same_fleet_costs_more_is_said_once() -> None:
    dear, twin = (replace(_rent(20.0, name), fleet="one") for name in ("dear", "twin"))
    found = decide([_rent(10.0, "cheap"), dear, twin])
    assert "twin is the same fleet as dear" in found.text
    assert "dear costs" in found.text
    assert "twin costs" not in found.text
    assert {one.topology for one in found.bindings} == {"dear", "twin"}


@given(st.floats(5.0, 60.0), st.floats(0.05, 50.0))
@settings(max_examples=25, deadline=None)
def test_a_flip_of_a_price_is_where_the_bills_cross(rent: float, tokens: float) -> None:
    a, b = _rent(rent), _tokens(tokens)
    ratio = b.usd_per_month / a.usd_per_month
    found = {flip.assumption: flip for flip in decide([a, b]).flips}
    at = found["price of rented GPUs"].factor
    if 0.105 < ratio < 9.5 and abs(ratio - 1) > 1e-3:
        assert at == pytest.approx(ratio, rel=0.011)
        assert found["price of tokens"].factor == pytest.approx(1 / ratio, rel=0.011)
        assert found["price of rented GPUs"].winner == ("rent" if ratio < 1 else "tokens")
    elif not 0.095 < ratio < 10.5:
        assert at is None


def test_fees_of_a_token_api_flip_where_they_and_the_tokens_cross() -> None:
    """Throughput that is bought by the hour, and a flat fee, against a price by the token."""
    by_token = _tokens(1.0)
    usd = by_token.usd_per_month
    for fees, paid in (
        ({"fixed_usd_per_month": 900.0}, 900.0),
        ({"provisioned_units": 50.0, "usd_per_unit_hour": 0.02}, 730.0),
    ):
        terms = Terms("flat", rented=(rented(usd=0.0),), apis=(replace(_api(0.0), **fees),), months=36)
        flat = _costed("flat", terms, 0.0, growing=False, most=math.inf)
        assert flat.usd_per_month == pytest.approx(paid)
        assert 0.11 < usd / paid < 9, "within reach"
        flips = {flip.assumption: flip for flip in decide([flat, by_token]).flips}
        assert flips["fees of token APIs"].factor == pytest.approx(usd / paid, rel=0.002)
        assert flips["price of tokens"].factor == pytest.approx(paid / usd, rel=0.002)
    assert "fees of token APIs" not in {flip.assumption for flip in decide([by_token, _rent(20.0)]).flips}


def test_a_copy_of_the_winner_flips_nothing() -> None:
    """One fleet under two names: whichever comes first, the same flips at the same prices, and none to the copy."""
    a, b = _rent(20.0), _tokens(50.0)
    twin = replace(a, name="copy", terms=replace(a.terms, topology="copy"))
    alone = {flip.assumption: flip for flip in decide([a, b]).flips}
    for found in ([a, b, twin], [twin, a, b], [b, twin, a]):
        flips = {flip.assumption: flip for flip in decide(found).flips}
        assert {name: flip.factor for name, flip in flips.items()} == {
            name: flip.factor for name, flip in alone.items()
        }
        both = " and ".join(one.name for one in found if one.name != b.name)
        for name, flip in flips.items():
            assert flip.winner == (both if alone[name].winner == a.name else alone[name].winner)


def test_the_margin_is_sure_in_a_share_of_the_draws() -> None:
    a, b = _rent(20.0), _tokens(50.0)
    drawn = cheapest_in({"rent": np.array([1.0, 2.0, 3.0, 4.0]), "tokens": np.array([2.0, 1.0, 4.0, 5.0])})
    found = decide([a, b], drawn)
    assert found.margin_share_of_draws == (0.75 if found.ranking.order[0] == "rent" else 0.25)
    assert "of 4 draws" in found.text


def test_equal_winners_are_counted_together() -> None:
    """One fleet under two names is cheapest as often as under one, and the verdict says so once."""
    a, b = _rent(20.0), _tokens(50.0)
    dear, cheap = (b, a) if a.usd_per_month < b.usd_per_month else (a, b)
    usd = {cheap.name: np.array([100.0, 200.0, 300.0, 400.0]), dear.name: np.array([200.0, 100.0, 400.0, 500.0])}
    twin = replace(cheap, name="twin", fleet="one")
    drawn = cheapest_in(usd | {"twin": usd[cheap.name] + 0.001})
    alone = decide([replace(cheap, fleet="one"), dear], cheapest_in(usd))
    both = decide([replace(cheap, fleet="one"), twin, dear], drawn)
    assert alone.margin_share_of_draws == both.margin_share_of_draws == 0.75
    assert f"{cheap.name} and twin (the same fleet) together cheapest in 75% of 4 draws" in both.text
    assert [float(drawn[name].mean()) for name in (cheap.name, "twin", dear.name)] == [0.75, 0.75, 0.25]
    crossing = cheapest_in({"x": np.array([1.0, 9.0, 9.0]), "y": np.array([9.0, 1.0, 9.0]), "z": np.full(3, 5.0)})
    assert share_together(crossing, ["x", "y"]) == pytest.approx(2 / 3)


@given(st.floats(0.02, 40.0))
@settings(max_examples=40, deadline=None)
def test_volume_crosses_where_a_fixed_cost_meets_a_price(true: float) -> None:
    found = volume(lambda q: 100.0, lambda q: 100.0 * q / true)
    if true < 1 / 16:
        assert (found.side, found.factor) == ("always", None)
    elif true >= 16:
        assert found.side == "never"
    else:
        assert found.side == "above"
        assert found.factor == pytest.approx(true, rel=0.021)
    other = volume(lambda q: 100.0 * q / true, lambda q: 100.0)
    assert other.side in ({"never"} if true <= 1 / 16 else {"always"} if true > 16 else {"below"})
    assert [row[0] for row in found.tried] == sorted(row[0] for row in found.tried)


def test_straight_bills_cross_where_they_are_equal() -> None:
    found = volume(lambda q: 2402.0, lambda q: 0.81579 * 24361 * q)
    assert found.factor == pytest.approx(2402.0 / (0.81579 * 24361), rel=1e-9)


def test_a_side_that_cannot_serve_costs_without_end() -> None:
    found = volume(lambda q: None if q > 1 else 1.0, lambda q: 2.0)
    assert found.side == "below"
    assert found.factor == pytest.approx(1.0, rel=0.021)
    assert any(math.isinf(row[1]) for row in found.tried)


def test_hours_have_no_meaning_against_tokens() -> None:
    assert hours_per_day(_rent(1.0).bill.lines, _tokens(5.0).bill.lines) is None
    assert smallest_change(lambda factor: frozenset({"same"}), frozenset({"same"})) is None


def test_uses_of_equal_months_are_one() -> None:
    assert len({id(use) for use in _rent(20.0).uses}) == 1
    assert month(_usage(1)).periods[0].hours == 730


@pytest.mark.parametrize(("usd_per_hour", "said"), [(2.945, True), (2.8, False), (3.1, False)])
def test_where_present_value_and_lines_put_another_first_the_verdict_says_so(usd_per_hour: float, said: bool) -> None:
    """$100,000 over 5 years at 10 %: $2,198 a month by the yearly annuity, $2,104 by payments; 2,150 is between."""
    server = replace(PLAIN_SERVER, capex_usd=100_000.0, life_years=5.0)
    own_terms = Terms(
        "own", owned=(owned(server=server, facility=FREE),), apis=(_api(0.0),), months=60, discount_rate_per_year=0.1
    )
    rent_terms = Terms(
        "rent", rented=(rented(usd=usd_per_hour),), apis=(_api(0.0),), months=60, discount_rate_per_year=0.1
    )
    own, rent = (_costed(terms.topology, terms, 0.0, False, months=60) for terms in (own_terms, rent_terms))
    assert own.usd_per_month == pytest.approx(100_000 * 0.1 * 1.1**5 / (1.1**5 - 1) / 12)
    monthly = sum(1.1 ** (-month / 12) for month in range(1, 61))
    found = decide([own, rent])
    assert found.ranking.order[0] == ("own" if usd_per_hour > 3.01 else "rent")
    words = f"own costs less than rent: $100,000 against ${730 * usd_per_hour * monthly:,.0f} over 60 months."
    assert (words in found.text) == said
    assert ("present value" in found.text) == said


def test_a_topology_that_is_paid_more_than_it_pays_costs_no_less_than_itself() -> None:
    """As where a tax is on credits alone: $-365 a month."""
    terms = {
        name: Terms(
            name, rented=(rented(usd=1.0),), apis=(_api(0.0),), fees=(Fee("back", usd_per_month=usd),), months=12
        )
        for name, usd in (("paid", -1095.0), ("pays", -365.0))
    }
    paid, pays = (_costed(name, one, 0.0, False, months=12) for name, one in terms.items())
    found = decide([paid, pays])
    assert (found.ranking.order[0], paid.usd_per_month) == ("paid", -365.0)
    assert "present value" not in found.text
