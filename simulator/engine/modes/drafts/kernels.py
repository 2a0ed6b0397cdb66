"""How many drafts are asked for, and how many are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.speculation import FOUND, NOT_FOUND, finds_drafts
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


@kernel
def asked_drafts(engines: Engines, rep: Any, pool: Any) -> int:
    """Drafts that are asked for after a step, by the requests in it."""
    if pool.drafts_by_seqs == 0:
        return pool.num_speculative_tokens
    return engines.draft_counts[rep.pool, rep.step_seqs]


@kernel
def made_drafts(engines: Engines, rep: Any, slot: Any, asked: int) -> int:
    """Drafts that a drafter makes once so many tokens are known: all, none in some steps, or as many as were recorded.

    Whether there are any goes by the request's step before; the draw belongs to the request and the position of the
    token in its answer.
    """
    if len(engines.drafted) == 0:
        chance = engines.found_chances[rep.pool, slot.class_id, slot.found]
        slot.found = FOUND if finds_drafts(slot.luck, slot.generated, chance) else NOT_FOUND
        return asked if slot.found == FOUND else 0
    made = engines.drafted[slot.request, min(slot.generated, engines.drafted.shape[1] - 1)]
    return asked if made < 0 else min(asked, made)
