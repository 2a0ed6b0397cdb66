"""How many drafts are asked for, and how many are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.state import Engines
from simulator.jit import kernel


def draft_counts(configs: Sequence[EngineConfig], most_seqs: int) -> NDArray[np.int32]:
    """Drafts asked for, by pool and number of requests in the step; empty where that number does not matter."""
    tables = [config.modes.drafts.by_batch_size if config.modes.drafts else () for config in configs]
    if not any(tables):
        return np.zeros((0, 0), np.int32)
    counts = np.zeros((len(configs), most_seqs + 1), np.int32)
    for row, table in zip(counts, tables, strict=True):
        for n in range(len(row) if table else 0):
            row[n] = next((drafts for low, high, drafts in table if low <= n <= high), table[-1][2])
    return counts


def draft_chances(configs: Sequence[EngineConfig]) -> NDArray[np.float64]:
    """Chance of each draft of a step, given that all before it were right, by pool and position."""
    chances = np.zeros((len(configs), max((config.num_speculative_tokens for config in configs), default=0)))
    for row, config in zip(chances, configs, strict=True):
        row[: config.num_speculative_tokens] = config.draft_chances
    return chances


@kernel
def asked_drafts(engines: Engines, rep: Any, pool: Any) -> int:
    """Drafts that are asked for after a step, by the requests in it."""
    if pool.drafts_by_seqs == 0:
        return pool.num_speculative_tokens
    return engines.draft_counts[rep.pool, rep.step_seqs]


@kernel
def made_drafts(engines: Engines, slot: Any, asked: int) -> int:
    """Drafts that a drafter makes once so many tokens are known: all, or as many as were recorded."""
    if len(engines.drafted) == 0:
        return asked
    made = engines.drafted[slot.request, min(slot.generated, engines.drafted.shape[1] - 1)]
    return asked if made < 0 else min(asked, made)
