"""What the lines of a bill are for: the names of all categories, and sums by them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from simulator.bill.sums import mean
from simulator.study.bill import Line

HARDWARE = "hardware"
NETWORK_AND_STORAGE = "network and storage"
INSTALLATION = "installation"
MAINTENANCE = "maintenance"
SPACE = "space"
FACILITY_NETWORK = "facility network"
ELECTRICITY = "electricity"
CARBON = "carbon"
COMMITTED = "committed"
EGRESS = "egress"
STORAGE = "storage"
FAILED_CALLS = "failed calls"
RESIDENCY = "residency"
FLAT_FEE = "flat fee"
UNITS_BY_HOUR = "provisioned throughput"
COMMITTED_UNITS = "committed throughput"
MINIMUM_SPEND = "minimum spend"
SERVICE_CREDIT = "service credit"
STAFF = "staff"
WITH_HARDWARE = (NETWORK_AND_STORAGE, INSTALLATION)
"""Lines that a tax on hardware is on, too."""
_OF_APIS = (FAILED_CALLS, RESIDENCY, FLAT_FEE, UNITS_BY_HOUR, COMMITTED_UNITS, MINIMUM_SPEND, SERVICE_CREDIT)
OF_SITES = (HARDWARE, MAINTENANCE, SPACE, FACILITY_NETWORK, ELECTRICITY)
"""Lines of any servers of one's own, as taxes name them."""


def is_of_api(category: str) -> bool:
    """Whether a line of this category is what a token API is paid for."""
    return category.endswith(of_tokens("")) or category in _OF_APIS


def by_hour(billing: str) -> str:
    """Category of instances that are paid by the hour: on demand above commitments, else as they are billed."""
    return ("on_demand" if billing.startswith("reserved") else billing).replace("_", " ")


def of_tokens(service_tier: str) -> str:
    """Category of the tokens of a service tier; the standard one has no name."""
    return f"{service_tier} tokens" if service_tier else "tokens"


TAXABLE = (
    *(*OF_SITES, CARBON, *(by_hour(billing) for billing in ("on_demand", "spot", "capacity_block")), COMMITTED),
    *(EGRESS, STORAGE, *(of_tokens(tier) for tier in ("", "batch", "flex", "priority")), FAILED_CALLS, RESIDENCY),
    *(FLAT_FEE, UNITS_BY_HOUR, COMMITTED_UNITS, MINIMUM_SPEND, SERVICE_CREDIT, STAFF),
)
"""Lines of bills that a tax may be on, as taxes name them; the names of fees are others."""


def usd_by_category(lines: Iterable[Line]) -> dict[str, float]:
    """USD per month of each category, in the order of the lines."""
    found: dict[str, list[float]] = {}
    for line in lines:
        found.setdefault(line.category, []).append(mean(line.usd))
    return {name: math.fsum(values) for name, values in found.items()}
