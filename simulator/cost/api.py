"""Cost of a token API, priced request by request during the simulation."""

from __future__ import annotations

import numpy as np

from simulator.cost.lines import LineItem, PoolCost, check_span, per_month
from simulator.fleet.usage import VendorUsage


def api_cost(vendor: VendorUsage, end_s: float, horizon_months: int) -> PoolCost:
    """Monthly line and cash flow of a token API; `end_s` of simulated time is scaled to a month of 730 h."""
    check_span(end_s, horizon_months)
    scale = per_month(end_s)
    usd = vendor.cost_usd * scale
    tokens = (vendor.input_tokens + vendor.output_tokens) * scale
    flow = np.full(horizon_months + 1, -usd, dtype=np.float64)
    flow[0] = 0.0
    return PoolCost((LineItem(vendor.name, "tokens", "requests", tokens, "tokens", usd, "usage"),), 0.0, flow)
