"""The bill with the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification (focus.finops.org)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.bill.category import (
    COMMITTED_UNITS,
    EGRESS,
    FAILED_CALLS,
    FLAT_FEE,
    MINIMUM_SPEND,
    NETWORK_AND_STORAGE,
    RESIDENCY,
    SERVICE_CREDIT,
    STAFF,
    STORAGE,
    UNITS_BY_HOUR,
    by_hour,
)
from simulator.bill.cents import due_cents, whole_cents
from simulator.bill.minimum import POOL_MONTHS
from simulator.bill.taxes import TAXED
from simulator.study.bill import Line

if TYPE_CHECKING:
    import pandas as pd

MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
)
"""Columns that FOCUS 1.2 wants in every dataset."""
_AI = ("AI and Machine Learning", "Generative AI")
_MACHINES = ("Compute", "Virtual Machines")
SERVICES = {
    RESIDENCY: _AI,
    FAILED_CALLS: _AI,
    UNITS_BY_HOUR: _AI,
    COMMITTED_UNITS: _AI,
    FLAT_FEE: _AI,
    MINIMUM_SPEND: _AI,
    **dict.fromkeys(map(by_hour, ("on_demand", "spot", "capacity_block")), _MACHINES),
    NETWORK_AND_STORAGE: ("Networking", "Other (Networking)"),
    EGRESS: ("Networking", "Other (Networking)"),
    STORAGE: ("Storage", "Other (Storage)"),
    SERVICE_CREDIT: ("Other", "Other (Other)"),
    STAFF: ("Other", "Other (Other)"),
}
"""FOCUS service category and subcategory by category of the line; tokens are AI, all others compute."""
_OTHER = ("Other", "Other (Other)")
_OTHER_COMPUTE = ("Compute", "Other (Compute)")


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the owner of a line stands: who provides it, and in which region."""

    provider: str
    region: str


def focus_frame(
    lines: Sequence[Line],
    resources: Sequence[Resource],
    account: str,
    sub_account: str,
    first_month: str | None = None,
) -> pd.DataFrame:
    """One row a line, for a month of the simulated load; costs are in whole cents and add up to the rounded total.

    EffectiveCost is the amortised cost: hardware and upfront payments are spread over their time. BilledCost leaves
    them out: it is what falls due in a month without purchases (these are among the payments), in cents of the
    effective cost. List and contracted costs equal that one: discounts are in the prices already.
    `x_EffectiveUnitPrice` (USD per PricingUnit) and `x_Kind` (bought, committed, by_month, by_use) are columns of
    ours.

    Parameters
    ----------
    resources : of each line
    account, sub_account : billing account (the scenario) and sub account (the topology)
    first_month : month of the bill as 2027-01; a forecast has no date, so the periods are empty unless it is given
    """
    import pandas as pd

    periods = _periods(first_month)
    rows = [
        _row(line, cents / 100, due / 100, resource) | periods
        for line, cents, due, resource in zip(lines, whole_cents(lines), due_cents(lines), resources, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    frame["BillingAccountId"] = frame["BillingAccountName"] = account
    frame["SubAccountId"] = frame["SubAccountName"] = sub_account
    frame["BillingCurrency"] = "USD"
    return frame


def _row(line: Line, usd: float, due_usd: float, resource: Resource) -> dict[str, Any]:
    category, subcategory = _service(line)
    unused = line.kind == "committed" and line.part in ("unused", "after the study")
    is_tax = line.unit == TAXED
    unused = unused or is_tax or line.category == SERVICE_CREDIT
    return {
        "BilledCost": due_usd,
        "EffectiveCost": usd,
        "ContractedCost": usd,
        "ListCost": usd,
        "ChargeCategory": "Credit" if line.category == SERVICE_CREDIT else "Tax" if is_tax else "Usage",
        "ChargeDescription": f"{line.category}: {line.part}",
        "ChargeFrequency": "Usage-Based" if line.kind == "by_use" else "Recurring",
        "ConsumedQuantity": None if unused else line.quantity,
        "ConsumedUnit": None if unused else line.unit,
        "InvoiceIssuerName": resource.provider,
        "PricingCategory": None if is_tax else _pricing(line),
        "PricingQuantity": None if is_tax else line.quantity,
        "PricingUnit": None if is_tax else line.unit,
        "ProviderName": resource.provider,
        "PublisherName": resource.provider,
        "RegionId": resource.region,
        "ResourceId": line.owner,
        "ResourceName": line.owner,
        "ServiceCategory": category,
        "ServiceName": line.category,
        "ServiceSubcategory": subcategory,
        "x_EffectiveUnitPrice": usd_per_unit(line),
        "x_Kind": line.kind,
    } | _commitment(line, unused)


def _service(line: Line) -> tuple[str, str]:
    if line.unit == POOL_MONTHS:
        return _MACHINES
    if line.unit == TAXED:
        return _OTHER
    rest = _AI if line.unit == "tokens" else _MACHINES if line.kind == "committed" else _OTHER_COMPUTE
    return SERVICES.get(line.category, rest)


def usd_per_unit(line: Line) -> float:
    """USD per unit; NaN where there is none."""
    return float(line.usd) / line.quantity if line.quantity else math.nan


def _pricing(line: Line) -> str:
    if line.kind == "committed":
        return "Committed"
    return "Dynamic" if line.category == "spot" else "Standard"


def _commitment(line: Line, unused: bool) -> dict[str, Any]:
    if line.kind != "committed" or line.unit == TAXED:
        return {}
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": f"{line.owner}/{line.category}",
        "CommitmentDiscountName": f"{line.owner}/{line.category}",
        "CommitmentDiscountQuantity": line.quantity,
        "CommitmentDiscountStatus": "Unused" if unused else "Used",
        "CommitmentDiscountType": "Provisioned units" if line.unit.startswith("unit-") else "Reserved instances",
        "CommitmentDiscountUnit": line.unit,
    }


def _periods(first_month: str | None) -> dict[str, str | None]:
    """Bounds of the month, the end exclusive, in the format of FOCUS; empty without a month."""
    start = end = None
    if first_month is not None:
        year, month = map(int, first_month.split("-"))
        start = f"{year:04d}-{month:02d}-01T00:00:00Z"
        end = f"{year + month // 12:04d}-{month % 12 + 1:02d}-01T00:00:00Z"
    return {
        "BillingPeriodStart": start,
        "BillingPeriodEnd": end,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
    }


_OPTIONAL = (
    "ChargeFrequency",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingCategory",
    "RegionId",
    "ResourceId",
    "ResourceName",
    "ServiceSubcategory",
    "SubAccountId",
    "SubAccountName",
)
_COLUMNS = (*sorted((*MANDATORY, *_OPTIONAL)), "x_EffectiveUnitPrice", "x_Kind")
