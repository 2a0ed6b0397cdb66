"""How far requests differ in the drafts that are made for them and accepted of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import DraftOdds

KINDS = 64
"""Of requests, as many as there are where their acceptances differ; each is as likely."""


MOST_STD = 0.99
"""Of requests' acceptances, as a share of `std_of_chance`: beyond, nearly all are 0 or 1."""


def std_of_chance(mean: float) -> float:
    """Standard deviation of what is 1 with this chance and else 0: no share with this mean has more."""
    return math.sqrt(mean * (1.0 - mean))


def chances_by_kind(odds: DraftOdds, drafts: int) -> NDArray[np.float64]:
    r"""Chance of each draft of a step, given that all before it were accepted, by kind of request and position.

    A request has an acceptance of its own, drawn from the Beta distribution with mean :math:`\alpha` and standard
    deviation :math:`\sigma`:

    .. math:: \nu = \frac{\alpha (1 - \alpha)}{\sigma^2} - 1, \quad a = \alpha \nu, \quad b = (1 - \alpha) \nu

    A kind is one of its equal parts, between two quantiles, with the mean of that part; so their mean is
    :math:`\alpha`.
    """
    mean, std = odds.acceptance, odds.std
    if odds.by_position or std == 0.0 or not 0.0 < mean < 1.0:
        return np.array([odds.by_position or (mean,) * drafts])
    spread = mean * (1.0 - mean) / std**2 - 1.0
    a, b = mean * spread, (1.0 - mean) * spread
    bounds = betaincinv(a, b, np.arange(KINDS + 1) / KINDS)
    own = np.clip(mean * KINDS * np.diff(betainc(a + 1.0, b, bounds)), 0.0, 1.0)
    return np.repeat(own[:, np.newaxis], drafts, axis=1)


def draft_chances(configs: Sequence[EngineConfig], n_classes: int) -> NDArray[np.float64]:
    """Chance of each draft of a step, given that all before it were right: by pool, class, kind of request, position.

    Each kind is as likely; there is one where requests of no class of any pool differ.
    """
    tables = [
        [chances_by_kind(odds, config.num_speculative_tokens) for odds in by_class(config, n_classes)]
        for config in configs
    ]
    kinds, drafts = (max((table.shape[axis] for row in tables for table in row), default=0) for axis in (0, 1))
    chances = np.zeros((len(configs), n_classes, kinds, drafts))
    for k, row in enumerate(tables):
        for class_id, table in enumerate(row):
            chances[k, class_id, :, : table.shape[1]] = table
    return chances


def found_chances(configs: Sequence[EngineConfig], n_classes: int) -> NDArray[np.float64]:
    """Chance that there are drafts, by pool, class and what was in the request's step before, as `chances_to_find`."""
    rows = [[chances_to_find(odds) for odds in by_class(config, n_classes)] for config in configs]
    return np.array(rows, np.float64).reshape(len(configs), n_classes, 3)


def chances_to_find(odds: DraftOdds) -> tuple[float, float, float]:
    r"""Chance that a step of a request has drafts: of its first step, after one without, after one with drafts.

    Two states in turn (a Markov chain), of which a share :math:`f` of the steps has drafts, :math:`L` of them in a row
    in the mean; the first step is as any:

    .. math:: f, \quad \frac{f}{L (1 - f)}, \quad 1 - \frac{1}{L}

    Without :math:`L` all three are :math:`f`, which makes runs of :math:`1/(1 - f)` steps.
    """
    share, run_steps = odds.drafted_share, odds.run_steps
    if run_steps == 0.0 or share >= 1.0:
        return share, share, share
    return share, share / (run_steps * (1.0 - share)), 1.0 - 1.0 / run_steps


def by_class(config: EngineConfig, n_classes: int) -> tuple[DraftOdds, ...]:
    """One for each of so many classes."""
    odds = config.draft_odds
    return odds * n_classes if len(odds) == 1 else odds[:n_classes]


def drafts_at(config: EngineConfig, sequences: int) -> int:
    """Drafts of each request in steps of so many."""
    rows = config.modes.drafts.by_batch_size if config.modes.drafts else ()
    return next(
        (drafts for _, end, drafts in rows if sequences <= end), rows[-1][2] if rows else config.num_speculative_tokens
    )


def steps_per_token(config: EngineConfig, drafts: int | None = None) -> float:
    r"""Steps that a token of an answer takes in the mean of requests with equally long answers, of all classes alike.

    .. math:: E\left[\frac{1}{1 + f \sum_{i=1}^{k} \prod_{j=1}^{i} \alpha_j}\right]

    over classes and kinds of requests, with :math:`f` the share of the steps that have drafts. Source of the sum:
    Leviathan et al., Fast inference from transformers via speculative decoding (2023), equation 1.

    Parameters
    ----------
    drafts : k, as many as the engine has unless given
    """
    found = []
    for odds in config.draft_odds:
        chances = chances_by_kind(odds, config.num_speculative_tokens)[:, :drafts]
        accepted = np.cumprod(chances, axis=1).sum(axis=1)
        found.append(np.mean(1.0 / (1.0 + odds.drafted_share * accepted)))
    return float(np.mean(found))
