"""Cost of a token API, priced request by request during the simulation."""

from __future__ import annotations

import numpy as np

from simulator.cost.lines import LineItem, PoolCost, check_span, per_month, total_usd
from simulator.cost.tokens import TOKEN_KINDS, TokenBill

_CATEGORIES = ("tokens", "batch tokens")


def api_cost(provider: str, bill: TokenBill, end_s: float, horizon_months: int) -> PoolCost:
    """Monthly lines and cash flow of the token API called `provider`; `end_s` simulated is scaled to a month of 730 h.

    Usual and batch requests have lines for input, cached input and output tokens; the residency premium is a line of
    its own. What no token was charged for has no line.
    """
    check_span(end_s, horizon_months)
    scale = per_month(end_s)
    lines = [
        LineItem(provider, category, kind, bill.tokens[k, j] * scale, "tokens", bill.usd[k, j] * scale, "usage")
        for k, category in enumerate(_CATEGORIES)
        for j, kind in enumerate(TOKEN_KINDS)
        if bill.tokens[k, j] > 0
    ]
    if bill.premium_usd > 0:
        tokens = float(bill.tokens.sum()) * scale
        lines.append(LineItem(provider, "residency", "premium", tokens, "tokens", bill.premium_usd * scale, "usage"))
    flow = np.full(horizon_months + 1, -total_usd(lines), dtype=np.float64)
    flow[0] = 0.0
    return PoolCost(tuple(lines), 0.0, flow)
