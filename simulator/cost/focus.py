"""The bill as a table with the columns of FOCUS, the FinOps Open Cost and Usage Specification (focus.finops.org)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.cost.lines import LineItem, whole_cents

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES = {
    "tokens": "AI and Machine Learning",
    "network and storage": "Networking",
    "egress": "Networking",
    "storage": "Storage",
    "staff": "Other",
}
"""FOCUS service category by category of the line; all others are Compute."""


def focus_frame(lines: Sequence[LineItem]) -> pd.DataFrame:
    """One row a line, for a month of the simulated load; costs are in whole cents and add up to the rounded total.

    EffectiveCost is the amortised cost: hardware and upfront payments are spread over their time. BilledCost leaves
    them out: it is what falls due in a month without purchases (these are in the report's cash flow). A forecast has no
    invoice, hence no periods, accounts or SKUs. `x_EffectiveUnitPrice` (USD per PricingUnit) and `x_Kind` (capex, opex,
    usage) are columns of ours.
    """
    import pandas as pd

    usd = [cents / 100 for cents in whole_cents(lines)]
    billed = [round(value * (1.0 - line.prepaid_share), 2) for value, line in zip(usd, lines, strict=True)]
    return pd.DataFrame(
        {
            "BilledCost": pd.Series(billed, dtype="float64"),
            "EffectiveCost": pd.Series(usd, dtype="float64"),
            "BillingCurrency": pd.Series(["USD"] * len(lines), dtype="str"),
            "ChargeCategory": pd.Series(["Usage"] * len(lines), dtype="str"),
            "ChargeDescription": pd.Series([f"{line.category}: {line.name}" for line in lines], dtype="str"),
            "CommitmentDiscountStatus": pd.Series([_commitment(line) for line in lines], dtype="str"),
            "ConsumedQuantity": pd.Series([line.quantity for line in lines], dtype="float64"),
            "ConsumedUnit": pd.Series([line.unit for line in lines], dtype="str"),
            "PricingCategory": pd.Series([_pricing(line) for line in lines], dtype="str"),
            "PricingQuantity": pd.Series([line.quantity for line in lines], dtype="float64"),
            "PricingUnit": pd.Series([line.unit for line in lines], dtype="str"),
            "ResourceId": pd.Series([line.pool for line in lines], dtype="str"),
            "ServiceCategory": pd.Series([CATEGORIES.get(line.category, "Compute") for line in lines], dtype="str"),
            "ServiceName": pd.Series([line.category for line in lines], dtype="str"),
            "x_EffectiveUnitPrice": pd.Series([line.unit_price_usd for line in lines], dtype="float64"),
            "x_Kind": pd.Series([line.kind for line in lines], dtype="str"),
        }
    )


def _pricing(line: LineItem) -> str:
    return "Committed" if line.category == "reserved" else "Standard"


def _commitment(line: LineItem) -> str | None:
    if line.category != "reserved":
        return None
    return "Unused" if line.name == "unused" else "Used"
