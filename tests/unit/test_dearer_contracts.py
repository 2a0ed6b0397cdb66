"""What a contract costs at a multiple of its prices: that of all its prices, in all months, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

from bill_cases import API, SERVER, owned, rented

from simulator.decide.contracts import dearer_fee, dearer_rent, dearer_servers, dearer_tokens
from simulator.study.terms import Commitment, Fee, TierPrices, TokenPrices


def test_servers_are_dearer_in_the_months_after_an_event_too() -> None:
    later = (owned(server=replace(SERVER, capex_usd=90.0)), owned(server=replace(SERVER, capex_usd=50.0), spares=2))
    found = dearer_servers(owned(later=later), 3.0)
    assert [site.server.capex_usd for site in (found, *found.later)] == [750_000.0, 270.0, 150.0]
    assert replace(found, server=SERVER, later=()) == owned()
    assert replace(found.later[1], server=later[1].server) == later[1]


def test_rent_by_the_hour_and_for_terms_is_dearer_each_by_its_own() -> None:
    terms = (Commitment(10.0, 12, instances=2), Commitment(7.0, 36, upfront_share=0.5))
    after = rented(usd=8.0, commitments=(Commitment(2.0, 12),))
    found = dearer_rent(rented(usd=4.0, commitments=terms, later=(after,)), 3.0, 5.0)
    assert found.usd_per_instance_hour == (12.0,)
    assert found.commitments == (Commitment(50.0, 12, instances=2), Commitment(35.0, 36, upfront_share=0.5))
    assert found.later == (rented(usd=24.0, commitments=(Commitment(10.0, 12),)),)


def test_all_tokens_of_all_bands_and_tiers_are_dearer_and_nothing_else_of_an_api() -> None:
    bands = (TokenPrices(0, 1.0, 2.0, 3.0, 4.0), TokenPrices(900, 5.0, 6.0, 7.0, 8.0))
    tier = TierPrices("batch", (TokenPrices(0, 0.5, 1.0, 1.5, 2.0),))
    api = replace(API, prices=bands, tiers=(tier,), fixed_usd_per_month=100.0, residency_premium=0.1)
    double = (TokenPrices(0, 2.0, 4.0, 6.0, 8.0), TokenPrices(900, 10.0, 12.0, 14.0, 16.0))
    half = TierPrices("batch", (TokenPrices(0, 1.0, 2.0, 3.0, 4.0),))
    assert dearer_tokens(api, 2.0) == replace(api, prices=double, tiers=(half,))


def test_a_fee_is_dearer_by_all_its_amounts_and_not_by_its_share_of_the_bill() -> None:
    fee = Fee("f", 1.0, 2.0, 3.0, 4.0, 5.0, share_of_bill=0.03)
    assert dearer_fee(fee, 10.0) == Fee("f", 10.0, 20.0, 30.0, 40.0, 50.0, share_of_bill=0.03)
