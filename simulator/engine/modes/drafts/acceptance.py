"""How far requests differ in the drafts that are accepted of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from simulator.engine.config import EngineConfig

KINDS = 64
"""Of requests, as many as there are where their acceptances differ; each is as likely."""


MOST_STD = 0.99
"""Of requests' acceptances, as a share of `std_of_chance`: beyond, nearly all are 0 or 1."""


def std_of_chance(mean: float) -> float:
    """Standard deviation of what is 1 with this chance and else 0: no share with this mean has more."""
    return math.sqrt(mean * (1.0 - mean))


def chances_by_kind(config: EngineConfig) -> NDArray[np.float64]:
    r"""Chance of each draft of a step, given that all before it were accepted, by kind of request and position.

    A request has an acceptance of its own, drawn from the Beta distribution with mean :math:`\alpha` and standard
    deviation :math:`\sigma`:

    .. math:: \nu = \frac{\alpha (1 - \alpha)}{\sigma^2} - 1, \quad a = \alpha \nu, \quad b = (1 - \alpha) \nu

    A kind is one of its equal parts, between two quantiles, with the mean of that part; so their mean is
    :math:`\alpha`.
    """
    mean, std = config.draft_acceptance, config.acceptance_std
    if std == 0.0 or not 0.0 < mean < 1.0:
        return np.array([config.draft_chances])
    spread = mean * (1.0 - mean) / std**2 - 1.0
    a, b = mean * spread, (1.0 - mean) * spread
    bounds = betaincinv(a, b, np.arange(KINDS + 1) / KINDS)
    own = np.clip(mean * KINDS * np.diff(betainc(a + 1.0, b, bounds)), 0.0, 1.0)
    return np.repeat(own[:, np.newaxis], config.num_speculative_tokens, axis=1)


def draft_chances(configs: Sequence[EngineConfig]) -> NDArray[np.float64]:
    """Chance of each draft of a step, given that all before it were right, by pool, kind of request and position.

    Each kind is as likely; there is one where requests do not differ.
    """
    tables = [chances_by_kind(config) for config in configs]
    kinds, drafts = (max((table.shape[axis] for table in tables), default=0) for axis in (0, 1))
    chances = np.zeros((len(configs), kinds, drafts))
    for row, table in zip(chances, tables, strict=True):
        row[:, : table.shape[1]] = table
    return chances


def drafts_at(config: EngineConfig, sequences: int) -> int:
    """Drafts of each request in steps of so many."""
    rows = config.modes.drafts.by_batch_size if config.modes.drafts else ()
    return next(
        (drafts for _, end, drafts in rows if sequences <= end), rows[-1][2] if rows else config.num_speculative_tokens
    )


def steps_per_token(config: EngineConfig, drafts: int | None = None) -> float:
    r"""Steps that a token of an answer takes in the mean of requests with equally long answers.

    .. math:: E\left[\frac{1}{1 + f \sum_{i=1}^{k} \prod_{j=1}^{i} \alpha_j}\right]

    over kinds of requests, with :math:`f` the share of the steps that have drafts. Source of the sum: Leviathan et al.,
    Fast inference from transformers via speculative decoding (2023), equation 1.

    Parameters
    ----------
    drafts : k, as many as the engine has unless given
    """
    accepted = np.cumprod(chances_by_kind(config)[:, :drafts], axis=1).sum(axis=1)
    return float(np.mean(1.0 / (1.0 + config.drafted_share * accepted)))
