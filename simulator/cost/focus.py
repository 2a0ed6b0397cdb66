"""The bill with the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification (focus.finops.org)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.cost.lines import LineItem, whole_cents

if TYPE_CHECKING:
    import pandas as pd

FOCUS_VERSION = "1.2"
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
SERVICES = {
    "tokens": ("AI and Machine Learning", "Generative AI"),
    "batch tokens": ("AI and Machine Learning", "Generative AI"),
    "residency": ("AI and Machine Learning", "Generative AI"),
    "on demand": ("Compute", "Virtual Machines"),
    "reserved": ("Compute", "Virtual Machines"),
    "network and storage": ("Networking", "Other (Networking)"),
    "egress": ("Networking", "Other (Networking)"),
    "storage": ("Storage", "Other (Storage)"),
    "staff": ("Other", "Other (Other)"),
}
"""FOCUS service category and subcategory by category of the line; all others are other compute."""
_OTHER_COMPUTE = ("Compute", "Other (Compute)")


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a pool or provider stands: who provides it, in which region, and whether its price is a spot price."""

    provider: str
    region: str
    spot: bool = False


def focus_frame(
    lines: Sequence[LineItem],
    resources: Mapping[str, Resource],
    account: str,
    sub_account: str,
    first_month: str | None = None,
) -> pd.DataFrame:
    """One row a line, for a month of the simulated load; costs are in whole cents and add up to the rounded total.

    EffectiveCost is the amortised cost: hardware and upfront payments are spread over their time. BilledCost leaves
    them out: it is what falls due in a month without purchases (these are in the report's cash flow). List and
    contracted costs equal the effective one: discounts are in the prices already. `x_EffectiveUnitPrice` (USD per
    PricingUnit) and `x_Kind` (capex, opex, usage) are columns of ours.

    Parameters
    ----------
    resources : by name of the pool or provider
    account, sub_account : billing account (the scenario) and sub account (the topology)
    first_month : month of the bill as 2027-01; a forecast has no date, so the periods are empty unless it is given
    """
    import pandas as pd

    periods = _periods(first_month)
    rows = [
        _row(line, cents / 100, resources[line.pool]) | periods
        for line, cents in zip(lines, whole_cents(lines), strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    frame["BillingAccountId"] = frame["BillingAccountName"] = account
    frame["SubAccountId"] = frame["SubAccountName"] = sub_account
    frame["BillingCurrency"] = "USD"
    return frame


def _row(line: LineItem, usd: float, resource: Resource) -> dict[str, Any]:
    category, subcategory = SERVICES.get(line.category, _OTHER_COMPUTE)
    unused = line.category == "reserved" and line.name == "unused"
    return {
        "BilledCost": round(usd * (1.0 - line.prepaid_share), 2),
        "EffectiveCost": usd,
        "ContractedCost": usd,
        "ListCost": usd,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{line.category}: {line.name}",
        "ChargeFrequency": "Usage-Based" if line.kind == "usage" else "Recurring",
        "ConsumedQuantity": None if unused else line.quantity,
        "ConsumedUnit": None if unused else line.unit,
        "InvoiceIssuerName": resource.provider,
        "PricingCategory": _pricing(line, resource),
        "PricingQuantity": line.quantity,
        "PricingUnit": line.unit,
        "ProviderName": resource.provider,
        "PublisherName": resource.provider,
        "RegionId": resource.region,
        "ResourceId": line.pool,
        "ResourceName": line.pool,
        "ServiceCategory": category,
        "ServiceName": line.category,
        "ServiceSubcategory": subcategory,
        "x_EffectiveUnitPrice": line.unit_price_usd,
        "x_Kind": line.kind,
    } | _commitment(line, unused)


def _pricing(line: LineItem, resource: Resource) -> str:
    if line.category == "reserved":
        return "Committed"
    return "Dynamic" if resource.spot and line.category == "on demand" else "Standard"


def _commitment(line: LineItem, unused: bool) -> dict[str, Any]:
    if line.category != "reserved":
        return {}
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": f"{line.pool}/reserved",
        "CommitmentDiscountName": f"{line.pool}/reserved",
        "CommitmentDiscountQuantity": line.quantity,
        "CommitmentDiscountStatus": "Unused" if unused else "Used",
        "CommitmentDiscountType": "Reserved GPUs",
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
