"""Which lines a topology may have, whatever it uses."""

from __future__ import annotations

import numpy as np

from simulator.bill.category import (
    CARBON,
    COMMITTED,
    COMMITTED_UNITS,
    EGRESS,
    FAILED_CALLS,
    FLAT_FEE,
    MINIMUM_SPEND,
    OF_SITES,
    RESIDENCY,
    SERVICE_CREDIT,
    STAFF,
    STORAGE,
    UNITS_BY_HOUR,
    by_hour,
    of_tokens,
)
from simulator.bill.credits import has_credits
from simulator.bill.minimum import has_minimum
from simulator.bill.power import has_carbon
from simulator.study.terms import ApiTerms, Terms


def possible_categories(terms: Terms) -> frozenset[str]:
    """Categories of lines that it may have in some month, as taxes name them; those of taxes are none."""
    found = {fee.name for fee in terms.fees}
    found |= {STAFF} if terms.staff else set()
    found |= set(OF_SITES) if terms.owned else set()
    found |= {CARBON} if has_carbon(terms) else set()
    for offer in (one for first in terms.rented for one in (first, *first.later)):
        found |= {by_hour(offer.tier), EGRESS, STORAGE}
        found |= {COMMITTED} if offer.commitments else set()
    for api in terms.apis:
        found |= _tokens(api) | {FAILED_CALLS, RESIDENCY, FLAT_FEE} | _units(api)
    found |= {MINIMUM_SPEND} if has_minimum(terms) else set()
    return frozenset(found | ({SERVICE_CREDIT} if has_credits(terms) else set()))


def credited_categories(terms: Terms) -> frozenset[str]:
    """Categories of the lines that service credits may be given on."""
    found: set[str] = set()
    for offer in (one for first in terms.rented for one in (first, *first.later) if one.credits):
        found |= {by_hour(offer.tier)} | ({COMMITTED} if offer.commitments else set())
        found |= {EGRESS} if np.any(offer.egress_usd_per_gb) else set()
        found |= {STORAGE} if np.any(offer.storage_usd_per_gb_month) else set()
    for api in (one for one in terms.apis if one.credits):
        found |= _tokens(api) | _units(api) | ({FAILED_CALLS} if api.bills_failed else set())
        found |= {RESIDENCY} if np.any(api.residency_premium) else set()
        found |= {FLAT_FEE} if np.any(api.fixed_usd_per_month) else set()
    return frozenset(found)


def _tokens(api: ApiTerms) -> set[str]:
    return {of_tokens(tier) for tier in api.tier_by_class}


def _units(api: ApiTerms) -> set[str]:
    return {COMMITTED_UNITS if api.unit_term_months else UNITS_BY_HOUR} if api.provisioned_units else set()
