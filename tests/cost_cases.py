"""Bills of token APIs for the tests of the cost model."""

from __future__ import annotations

from simulator.cost.tokens import TokenBill, TokenPrice, TokenTier, token_bill


def flat_bill(tokens: int, usd: float) -> TokenBill:
    """Bill of `tokens` input tokens that cost `usd` in all."""
    return token_bill([tokens], [0], [0], TokenPrice((TokenTier(0, usd / tokens * 1e6, 0.0, 0.0),)))
