"""Which lines a topology may have, whatever it uses."""

from __future__ import annotations

import numpy as np

from simulator.bill.category import CARBON, MINIMUM_SPEND, SERVICE_CREDIT
from simulator.bill.credits import has_credits
from simulator.bill.minimum import has_minimum
from simulator.bill.power import has_carbon
from simulator.bill.taxes import HARDWARE
from simulator.bill.units import COMMITTED_UNITS
from simulator.study.terms import ApiTerms, RentedTerms, Terms


def possible_categories(terms: Terms) -> frozenset[str]:
    """Categories of lines that it may have in some month, as taxes name them; those of taxes are none."""
    found = {fee.name for fee in terms.fees}
    found |= {"staff"} if terms.staff else set()
    found |= {HARDWARE, "maintenance", "space", "facility network", "electricity"} if terms.owned else set()
    found |= {CARBON} if has_carbon(terms) else set()
    for offer in (one for first in terms.rented for one in (first, *first.later)):
        found |= {_by_hour(offer), "egress", "storage"}
        found |= {"committed"} if offer.commitments else set()
    for api in terms.apis:
        found |= _tokens(api) | {"failed calls", "residency", "flat fee"} | _units(api)
    found |= {MINIMUM_SPEND} if has_minimum(terms) else set()
    return frozenset(found | ({SERVICE_CREDIT} if has_credits(terms) else set()))


def credited_categories(terms: Terms) -> frozenset[str]:
    """Categories of the lines that service credits may be given on."""
    found: set[str] = set()
    for offer in (one for first in terms.rented for one in (first, *first.later) if one.credits):
        found |= {_by_hour(offer)} | ({"committed"} if offer.commitments else set())
        found |= {"egress"} if np.any(offer.egress_usd_per_gb) else set()
        found |= {"storage"} if np.any(offer.storage_usd_per_gb_month) else set()
    for api in (one for one in terms.apis if one.credits):
        found |= _tokens(api) | _units(api) | ({"failed calls"} if api.bills_failed else set())
        found |= {"residency"} if np.any(api.residency_premium) else set()
        found |= {"flat fee"} if np.any(api.fixed_usd_per_month) else set()
    return frozenset(found)


def _by_hour(offer: RentedTerms) -> str:
    return "on demand" if offer.tier.startswith("reserved") else offer.tier.replace("_", " ")


def _tokens(api: ApiTerms) -> set[str]:
    return {f"{tier} tokens" if tier else "tokens" for tier in api.tier_by_class}


def _units(api: ApiTerms) -> set[str]:
    return {COMMITTED_UNITS if api.unit_term_months else "provisioned throughput"} if api.provisioned_units else set()
