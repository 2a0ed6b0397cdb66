"""At which price of one contract alone another topology is the cheapest, and from where beyond chance, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bill_cases import PLAIN_SERVER, fixed, owned, pool, provider, rented, servers
from priced_cases import costed

from simulator.bill.study import settled_terms
from simulator.decide.break_even import break_evens, hours_flip
from simulator.decide.contracts import contracts
from simulator.decide.costed import Costed
from simulator.decide.months import walk
from simulator.decide.verdict import decide
from simulator.decide.why import flip_words
from simulator.study.decision import Chance, Flip, Served
from simulator.study.demand import Growth, Horizon
from simulator.study.terms import ApiTerms, Commitment, Fee, Terms, TokenPrices
from simulator.study.usage import Usage

HOUR_S = 3600.0
USAGE = Usage(
    HOUR_S,
    (pool(gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S),),
    (provider([[[1_000_000, 0, 0, 0]]]),),
    (servers(1, ("pool",), HOUR_S), replace(servers(1, ("pool",), HOUR_S), gpu="h200")),
)
"""An instance all the time, and a million prompt tokens an hour."""


def topology(name: str, usages: tuple[Usage, ...] = (USAGE,), **terms: Any) -> Costed:
    walked = walk(Horizon(2, (Growth(),)), lambda sizes, load, asked: Served(True, 1.0, "", usages), (1,))
    free = {"rented": (rented(usd=0.0),), "apis": (tokens(0.0),)}
    return costed(name, Terms(name, months=2, **(free | terms)), walked)


def instance(usd_per_hour: float, tier: str = "on_demand", site: str = "here") -> dict[str, Any]:
    return {"rented": (replace(rented(usd=usd_per_hour), tier=tier, gpu="h100-sxm", site=site),)}


def tokens(usd_per_million: float, **changes: Any) -> ApiTerms:
    return replace(ApiTerms("api", (TokenPrices(0, *(usd_per_million,) * 4),), (1.0,)), **changes)


def flips(*found: Costed) -> dict[str, Flip]:
    return {flip.assumption: flip for flip in decide(found).flips}


def test_spot_alone_loses_to_on_demand_where_they_cost_the_same() -> None:
    """$20 and $30 an hour: all alike they never change places, spot alone does at 1.5, on demand at 2/3."""
    found = flips(topology("spot", **instance(20.0, "spot")), topology("hourly", **instance(30.0)))
    assert found["price of rented GPUs"].factor is None
    for name, at in (("spot", 1.5), ("on demand", 2 / 3)):
        flip = found[f"price of h100-sxm {name} at here"]
        assert flip.alone
        assert flip.winner == "hourly"
        assert flip.factor == pytest.approx(at, rel=0.002)
    text = decide((topology("spot", **instance(20.0, "spot")), topology("hourly", **instance(30.0)))).text
    assert text.endswith(
        "What would flip it: price of h100-sxm spot at here alone at × 1.50: hourly; "
        "price of h100-sxm on demand at here alone at × 0.67: hourly."
    )


def test_sites_are_contracts_of_their_own_and_one_contract_moves_with_all() -> None:
    here, there = topology("here", **instance(20.0)), topology("there", **instance(25.0, site="there"))
    found = flips(here, there)
    assert found["price of h100-sxm on demand at here"].factor == pytest.approx(1.25, rel=0.002)
    assert found["price of h100-sxm on demand at there"].factor == pytest.approx(0.8, rel=0.002)
    one = flips(here, topology("tokens", apis=(tokens(30.0),)))
    assert [flip for flip in one.values() if flip.alone] == []


def named(pool: str, usd_per_hour: float) -> dict[str, Any]:
    (offer,) = instance(usd_per_hour)["rented"]
    return {"rented": (replace(offer, pool=pool),)}


def test_pools_with_prices_of_their_own_at_one_site_are_contracts_of_their_own() -> None:
    """$20 and $25 an hour on demand at one site: the first may cost 1.25 times as much; the copy moves with it."""
    two = replace(USAGE, pools=(pool("one", gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S),))
    other = replace(USAGE, pools=(pool("other", gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S),))
    cheap, copy = (topology(name, (two,), **named("one", 20.0)) for name in ("a", "copy"))
    dear = topology("b", (other,), **named("other", 25.0))
    name = "price of h100-sxm on demand at here"
    found = flips(cheap, dear)
    assert {one for one in found if name in one} == {f"{name} of one", f"{name} of other"}
    assert found[f"{name} of one"].factor == pytest.approx(1.25, rel=0.002)
    assert found[f"{name} of other"].factor == pytest.approx(0.8, rel=0.002)
    assert flips(cheap, copy, dear)[f"{name} of one"].winner == "b"
    same = topology("b", (two,), **named("one", 25.0))
    found = flips(cheap, copy, same)
    assert {one for one in found if name in one} == {f"{name} of one in a and one in copy", f"{name} of one in b"}
    assert found[f"{name} of one in b"].factor == pytest.approx(0.8, rel=0.002)


def test_servers_and_fees_with_two_prices_are_contracts_of_their_own() -> None:
    """As pools and providers are: annuities of $5,000 and $6,000 a month, licences of $1,000 and $1,500 beside."""
    cheap, dear = (
        topology(name, fees=(Fee("licence", usd_per_month=usd),), **site(capex_usd, "h100-sxm"))
        for name, usd, capex_usd in (("a", 1_000.0, 240_000.0), ("b", 1_500.0, 288_000.0))
    )
    found = flips(cheap, dear)
    for name, at in (
        ("price of h100-sxm servers at here in a", 6_500 / 5_000),
        ("price of h100-sxm servers at here in b", 4_500 / 6_000),
        ("fee licence in a", 2.5),
    ):
        assert found[name].factor == pytest.approx(at, rel=0.002)
    assert found["fee licence in b"].factor is None, "$6,000 without it are more than $6,000 with the other's"


def test_terms_of_two_lengths_at_one_price_each_are_one_contract() -> None:
    """A price list has a price for each term; two prices of one term are two contracts."""
    (hourly,) = instance(20.0)["rented"]

    def under(term_months: int, usd: float, name: str) -> Terms:
        return Terms(name, rented=(replace(hourly, tier="reserved", commitments=(Commitment(usd, term_months, 1),)),))

    name = "price of h100-sxm under commitment at here"
    spot = Terms("spot", **instance(20.0, "spot"))
    assert [one for one in contracts([under(1, 18.0, "a"), under(3, 15.0, "b"), spot]) if name in one] == [name]
    assert [one for one in contracts([under(1, 18.0, "a"), under(1, 15.0, "b"), spot]) if name in one] == [
        f"{name} of pool in a",
        f"{name} of pool in b",
    ]


def test_a_commitment_is_another_contract_than_the_hour() -> None:
    """One instance for a month at a time at $18 against $20 by the hour: the commitment alone may cost 10/9."""
    (hourly,) = instance(20.0)["rented"]
    committed = replace(hourly, tier="reserved_1y", commitments=(Commitment(18.0, 1, 1),))
    found = flips(topology("committed", rented=(committed,)), topology("hourly", rented=(hourly,)))
    flip = found["price of h100-sxm under commitment at here"]
    assert (flip.factor, flip.winner) == (pytest.approx(10 / 9, rel=0.002), "hourly")
    assert found["price of h100-sxm on demand at here"].factor == pytest.approx(0.9, rel=0.002)


@pytest.mark.parametrize(("above", "at"), [(20.0, None), (30.0, 17.5 / 20)])
def test_hours_above_commitments_move_with_the_contract_whose_price_they_have(above: float, at: float | None) -> None:
    """Committed at $18, or by the hour, as many as save money, against $20 by the hour and a fee of half a dollar.

    Whatever the hour costs, it costs the same here, without the fee. Where hours above commitments have another price
    they stay, and at $17.50 the rival has them and its fee for $18.
    """
    (hourly,) = instance(20.0)["rented"]
    either = replace(hourly, tier="reserved", commitments=(Commitment(18.0, 1),), usd_per_instance_hour=(above,))
    first = topology("either", rented=(either,))
    first = replace(first, terms=settled_terms(first.terms, first.uses))
    rival = topology("hourly", rented=(hourly,), fees=(Fee("portal", usd_per_month=0.5 * 730),))
    found = flips(first, rival)["price of h100-sxm on demand at here"]
    assert found.factor == (None if at is None else pytest.approx(at, rel=0.002))


@pytest.mark.parametrize(("rival", "hourly_alone"), [(45.0, None), (35.0, 7 / 6)])
def test_an_open_commitment_is_entered_where_another_price_makes_it_worth_it(
    rival: float, hourly_alone: float | None
) -> None:
    """$30 by the hour, or $40 under a term of two months: however dear the hour gets, the bill stays at $40."""
    (hourly,) = instance(30.0)["rented"]
    either = topology("either", rented=(replace(hourly, commitments=(Commitment(40.0, 2),)),))
    either = replace(either, terms=settled_terms(either.terms, either.uses))
    fee = topology("fee", fees=(Fee("flat", usd_per_month=rival * 730),))
    found = flips(either, fee)
    assert found["price of rented GPUs"].factor == pytest.approx(rival / 30, rel=0.002)
    alone = found["price of h100-sxm on demand at here"]
    assert alone.factor == (None if hourly_alone is None else pytest.approx(hourly_alone, rel=0.002))


def test_tokens_of_each_provider_and_of_one_name_at_two_prices() -> None:
    """$20 and $24 a million: the first may cost 1.2 times as much. Both names alike, each topology has its own."""
    cheap, dear = topology("a", apis=(tokens(20.0),)), topology("b", apis=(tokens(24.0),))
    found = flips(cheap, dear)
    assert found["price of tokens of api in a"].factor == pytest.approx(1.2, rel=0.002)
    assert found["price of tokens of api in b"].factor == pytest.approx(20 / 24, rel=0.002)
    alike = flips(cheap, topology("copy", apis=(tokens(20.0),)), topology("rent", **instance(30.0)))
    assert [flip for flip in alike.values() if flip.alone] == []


def site(capex_usd: float, gpu: str) -> dict[str, Any]:
    """A server that costs nothing but its price."""
    kind = replace(PLAIN_SERVER, gpu=gpu, capex_usd=capex_usd)
    free = replace(owned(server=kind).facility, usd_per_kw_month=0.0, electricity_usd_per_kwh=(0.0,))
    return {"owned": (owned(server=kind, facility=free),), "rented": ()}


def test_hours_of_use_a_day_are_an_assumption_of_what_stands_all_the_time() -> None:
    """$240,000 over 48 months are $5,000, rent is $7,300 and $8,030: used for 24 · 5/7.3 hours a day it costs less."""
    own, cheap, dear = (
        topology("own", **site(240_000.0, "h100-sxm")),
        topology("rent", **instance(10.0)),
        topology("dear", **instance(11.0)),
    )
    flip = hours_flip([own, cheap, dear], break_evens([own, cheap, dear]))
    assert flip is not None
    assert flip.factor == pytest.approx(5_000 / 7_300)
    assert flip_words(flip) == "hours of use a day at 16.44 (now 24): rent"
    alone = hours_flip([own, dear], break_evens([own, dear]))
    assert alone is not None
    assert (alone.factor, alone.winner) == (pytest.approx(5_000 / 8_030), "dear")
    assert hours_flip([cheap, dear], break_evens([cheap, dear])) is None, "rent stops with the use"
    assert hours_flip([own], break_evens([own])) is None
    two = [own, topology("also", **site(240_000.0, "h100-sxm")), cheap]
    both = hours_flip(two, break_evens(two))
    assert both is not None
    assert (both.factor, both.winner) == (pytest.approx(5_000 / 7_300), "rent")


@pytest.mark.parametrize(("licence_usd", "hours"), [(365.0, 4.0), (9.0, None), (0.0, None)])
def test_rent_with_a_licence_costs_more_than_tokens_below_some_hours(licence_usd: float, hours: float | None) -> None:
    """$1,460 of rent around the clock and a licence, against $3,650 of tokens: in 4 hours a day both are $608.

    With $9 the flip is at 0.0986 hours, which nobody asks for.
    """
    fees = {"fees": (Fee("licence", usd_per_month=licence_usd),)} if licence_usd else {}
    rent, api = topology("rent", **instance(2.0), **fees), topology("api", apis=(tokens(5.0),))
    flip = hours_flip([rent, api], break_evens([rent, api]))
    if hours is None:
        assert flip is None
        return
    assert flip is not None
    assert flip_words(flip) == f"hours of use a day at {hours:.2f} (now 24): api"
    dear = topology("dear", apis=(tokens(6.0),))
    found = hours_flip([rent, dear, api], break_evens([rent, dear, api]))
    assert found is not None
    assert found.winner == "api", "the nearest"


def test_servers_of_one_site_alone() -> None:
    """An annuity at no interest is capex / 48 a month: $240,000 and $288,000 differ by $1,000 a month."""
    found = flips(topology("h100", **site(240_000.0, "h100-sxm")), topology("h200", **site(288_000.0, "h200")))
    assert found["price of h100-sxm servers at here"].factor == pytest.approx(1.2, rel=0.002)
    assert found["price of h200 servers at here"].factor == pytest.approx(240 / 288, rel=0.002)
    assert found["price of servers"].factor is None


def test_licences_and_agreed_spends_are_assumptions() -> None:
    """Rent of $10 an hour, $7,300 a month, against a licence of $5,000 a month: it may cost 1.46 times as much."""
    licence, rent = Fee("licence", usd_per_month=5_000.0), topology("rent", **instance(10.0))
    found = flips(topology("licensed", fees=(licence,)), rent)
    assert found["licences and other fees"].factor == pytest.approx(1.46, rel=0.002)
    assert "agreed spends" not in found
    agreed = flips(topology("api", apis=(tokens(1.0, minimum_usd_per_month=5_000.0),)), rent)
    assert agreed["agreed spends"].factor == pytest.approx(1.46, rel=0.002)
    assert agreed["agreed spends"].winner == "rent"
    both = flips(topology("licensed", fees=(licence, Fee("support", usd_per_month=1_000.0))), rent)
    assert both["licences and other fees"].factor == pytest.approx(7_300 / 6_000, rel=0.002)
    assert both["fee licence"].factor == pytest.approx(1.26, rel=0.002)
    assert both["fee support"].factor == pytest.approx(2.3, rel=0.002)


def test_between_two_replications_a_flip_is_beyond_chance_where_their_interval_is() -> None:
    """A million tokens an hour and 1 % more, at $10 a million, against $20 an hour of rent: equal at 20 / 10.05.

    Student's t of two is 12.706, so the half-width of the mean 1.005 is 12.706 · 0.005: the tokens cost more for sure
    from 20 / 10 / (1.005 - 0.06353) on, and so the rent less, from 1 / that on the way down.
    """
    more = replace(USAGE, providers=(provider([[[1_010_000, 0, 0, 0]]]),))
    found = [
        topology("tokens", (USAGE, more), apis=(tokens(10.0),)),
        topology("rent", (USAGE, more), **instance(20.0)),
    ]
    flips_ = {flip.assumption: flip for flip in decide(found).flips}
    at, sure = 20 / 10.05, 2 / (1.005 - 12.7062 * 0.005)
    assert flips_["price of tokens"].factor == pytest.approx(at, rel=0.002)
    assert flips_["price of tokens"].clear == pytest.approx(sure, rel=0.002)
    assert flips_["price of rented GPUs"].clear == pytest.approx(1 / sure, rel=0.002)
    for price, winners in ((10 * at * 1.02, 2), (10 * sure * 1.005, 1)):
        there = [topology("tokens", (USAGE, more), apis=(tokens(price),)), found[1]]
        assert len(decide(there).ranking.winners) == winners, "a run at that price says so, too"


def test_in_one_replication_chance_grows_with_the_price_of_what_requests_use() -> None:
    """$7,300 of tokens that chance moves by 10 %, against twice as much rent: 1.96 · 10 % at any price."""
    usd = 7_300.0
    api = replace(topology("tokens", apis=(tokens(10.0),)), chance=Chance(usd, 0.01, 0.0))
    rent = replace(topology("rent", **instance(20.0)), chance=Chance(0.0, 0.01, 0.0))
    found = flips(api, rent)
    assert found["price of tokens"].factor == pytest.approx(2.0, rel=0.002)
    assert found["price of tokens"].clear == pytest.approx(2 / (1 - 0.196), rel=0.002)
    assert found["price of rented GPUs"].clear == pytest.approx(0.5 * (1 - 0.196), rel=0.002)


def test_a_flip_that_chance_hides_as_far_as_it_is_looked_for() -> None:
    """A licence of $1,000 against tokens of $7,665 ± 4,637: equal at 0.1305 of their price, for sure only at 0.0813."""
    more = replace(USAGE, providers=(provider([[[1_100_000, 0, 0, 0]]]),))
    licence = topology("licensed", (USAGE, more), fees=(Fee("licence", usd_per_month=1_000.0),))
    found = flips(licence, topology("tokens", (USAGE, more), apis=(tokens(10.0),)))["price of tokens"]
    assert found.factor == pytest.approx(1_000 / 7_665, rel=0.002)
    assert found.clear == 0.0
