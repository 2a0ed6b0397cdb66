"""Which lines a topology may have, whatever it uses."""

from __future__ import annotations

from simulator.bill.category import CARBON, MINIMUM_SPEND, SERVICE_CREDIT
from simulator.bill.credits import has_credits
from simulator.bill.minimum import has_minimum
from simulator.bill.power import has_carbon
from simulator.bill.taxes import HARDWARE
from simulator.bill.units import COMMITTED_UNITS
from simulator.study.terms import Terms


def possible_categories(terms: Terms) -> frozenset[str]:
    """Categories of lines that it may have in some month, as taxes name them; those of taxes are none."""
    found = {fee.name for fee in terms.fees}
    found |= {"staff"} if terms.staff else set()
    found |= {HARDWARE, "maintenance", "space", "electricity"} if terms.owned else set()
    found |= {CARBON} if has_carbon(terms) else set()
    for offer in (one for first in terms.rented for one in (first, *first.later)):
        by_hour = "on demand" if offer.tier.startswith("reserved") else offer.tier.replace("_", " ")
        found |= {by_hour, "egress", "storage"}
        found |= {"committed"} if offer.commitments else set()
    for api in terms.apis:
        found |= {f"{tier} tokens" if tier else "tokens" for tier in api.tier_by_class}
        found |= {"failed calls", "residency", "flat fee"}
        units = COMMITTED_UNITS if api.unit_term_months else "provisioned throughput"
        found |= {units} if api.provisioned_units else set()
    found |= {MINIMUM_SPEND} if has_minimum(terms) else set()
    return frozenset(found | ({SERVICE_CREDIT} if has_credits(terms) else set()))
