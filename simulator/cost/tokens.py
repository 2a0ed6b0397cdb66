"""Prices of token APIs, and what requests cost at them, one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.cost.prices import not_negative, require
from simulator.errors import InputError, Problem
from simulator.units import TOKENS_PER_MILLION

TOKEN_KINDS = ("input", "cached input", "output")
"""Columns of a `TokenBill`: prompt tokens that missed the provider's cache, those that hit it, and output tokens."""


class TokenTier(NamedTuple):
    """Prices in USD per million tokens of requests with more than `above_tokens` input tokens."""

    above_tokens: float
    input: float
    output: float
    cached_input: float


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Price list of a token API.

    Attributes
    ----------
    tiers : by rising `above_tokens`, the first at 0; a request pays the prices of one tier for all its tokens
    residency_premium : surcharge for processing in a region, as a share of the price
    batch_multiplier : what a batch request pays of the price, as a share; None where the provider takes no batches
    """

    tiers: tuple[TokenTier, ...]
    residency_premium: float = 0.0
    batch_multiplier: float | None = None

    def __post_init__(self) -> None:
        table = np.asarray(self.tiers, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(TokenTier._fields):
            raise InputError(Problem("needs at least one (above, input, output, cached)", path="token_price.tiers"))
        if not np.isfinite(table).all() or (table < 0).any():
            raise InputError(Problem("must be numbers of at least 0", path="token_price.tiers"))
        if table[0, 0] != 0 or (np.diff(table[:, 0]) <= 0).any():
            raise InputError(Problem("thresholds must start at 0 and rise", path="token_price.tiers"))
        require(
            "token_price",
            residency_premium=not_negative(self.residency_premium),
            batch_multiplier=not_negative(self.batch_multiplier or 0.0),
        )


@dataclass(frozen=True, slots=True)
class TokenBill:
    """Sum of what requests cost at one provider; bills of parts of the requests add up to the bill of all.

    Attributes
    ----------
    tokens, usd : shape (2, 3); usual requests and batch requests, by `TOKEN_KINDS`; USD without the premium
    premium_usd : residency premium of all of them
    """

    tokens: NDArray[np.float64]
    usd: NDArray[np.float64]
    premium_usd: float

    @property
    def total_usd(self) -> float:
        return math.fsum((*self.usd.ravel(), self.premium_usd))

    def __add__(self, other: TokenBill) -> TokenBill:
        return TokenBill(self.tokens + other.tokens, self.usd + other.usd, self.premium_usd + other.premium_usd)


def empty_bill() -> TokenBill:
    """The bill of no requests."""
    return TokenBill(np.zeros((2, len(TOKEN_KINDS))), np.zeros((2, len(TOKEN_KINDS))), 0.0)


def price_requests(
    isl_tokens: ArrayLike, cached_tokens: ArrayLike, osl_tokens: ArrayLike, price: TokenPrice, batch: ArrayLike = False
) -> NDArray[np.float64]:
    """Price of each request in USD.

    usd = ((isl - cached)*input + cached*cached_input + osl*output) / 1e6 * (1 + residency_premium), with the prices of
    the last tier whose threshold the request's ISL exceeds; times the batch multiplier for batch requests.

    Parameters
    ----------
    isl_tokens, cached_tokens, osl_tokens : shape (n,), or scalars; cached tokens are part of the ISL
    batch : whether each request goes through the provider's batch API, shape (n,), or one for all

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    InputError : token counts that contradict each other, or a batch where the provider takes none
    """
    _, usd = _parts(isl_tokens, cached_tokens, osl_tokens, price, batch)
    return np.asarray(usd.sum(axis=1) * (1.0 + price.residency_premium), dtype=np.float64)


def token_bill(
    isl_tokens: ArrayLike, cached_tokens: ArrayLike, osl_tokens: ArrayLike, price: TokenPrice, batch: ArrayLike = False
) -> TokenBill:
    """The bill of these requests; arguments and errors are those of `price_requests`, whose sum is its total."""
    tokens, usd = _parts(isl_tokens, cached_tokens, osl_tokens, price, batch)
    in_batch = np.broadcast_to(np.asarray(batch, dtype=np.bool_), (len(tokens),))
    bill = TokenBill(
        np.stack([tokens[~in_batch].sum(axis=0), tokens[in_batch].sum(axis=0)]),
        np.stack([usd[~in_batch].sum(axis=0), usd[in_batch].sum(axis=0)]),
        0.0,
    )
    return TokenBill(bill.tokens, bill.usd, bill.total_usd * price.residency_premium)


def _parts(
    isl_tokens: ArrayLike, cached_tokens: ArrayLike, osl_tokens: ArrayLike, price: TokenPrice, batch: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tokens and USD of each request by `TOKEN_KINDS`, without the premium, each of shape (n, 3)."""
    isl, cached, osl = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(tokens, dtype=np.float64)) for tokens in (isl_tokens, cached_tokens, osl_tokens))
    )
    if not ((cached >= 0) & (cached <= isl) & (osl >= 0)).all():
        raise InputError(Problem("needs 0 <= cached tokens <= ISL and OSL >= 0", path="token_price"))
    in_batch = np.broadcast_to(np.asarray(batch, dtype=np.bool_), isl.shape)
    if in_batch.any() and price.batch_multiplier is None:
        raise InputError(Problem("the provider has no batch price", path="token_price.batch_multiplier"))
    factor = np.where(in_batch, 1.0 if price.batch_multiplier is None else price.batch_multiplier, 1.0)
    table = np.asarray(price.tiers, dtype=np.float64)
    tier = table[np.maximum(np.searchsorted(table[:, 0], isl, side="left") - 1, 0)]
    tokens = np.stack([isl - cached, cached, osl], axis=1)
    return tokens, tokens * tier[:, [1, 3, 2]] * (factor / TOKENS_PER_MILLION)[:, None]
