"""How many drafted tokens the target model accepts."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.content import mix
from simulator.engine.state import Engines
from simulator.jit import kernel, shared_kernel

_REQUEST = np.int64(-7046029254386353131)
_TOKEN = np.int64(-4417276706812531889)
_KIND, _FOUND = -1, 1 << 40
"""Draws beside those of the tokens of an answer, which are numbered from 0."""


FIRST, NOT_FOUND, FOUND = range(3)
"""What was in a request's step before: there was none, it had no drafts, it had some."""
NO_PADDING, PADS_COMPUTED, PADS_ALL = 0, 1, 2
"""Whether a first step that is due one token is padded with drafts: never, if something was computed before, always."""


@kernel
def first_step_padding(pool: Any, tokens: int, computed: int, pads: int) -> int:
    """Placeholder drafts of an admitted request that is due one token, so that its step is as wide as others'."""
    if pads == NO_PADDING or tokens - computed != 1 or (pads == PADS_COMPUTED and computed == 0):
        return 0
    drafts = pool.num_speculative_tokens
    return drafts if computed + 2 + drafts <= pool.max_model_len else 0


@kernel
def spec_decode_tokens(pool: Any) -> int:
    """Tokens that a first decode step may hold beyond those known; none without speculative decoding."""
    if pool.num_speculative_tokens == 0:
        return 0
    return 1 + pool.num_speculative_tokens + pool.num_lookahead_tokens


@kernel
def right_drafts(engines: Engines, rep: Any, slot: Any, delivered: int, drafted: int) -> int:
    """Leading drafts of a request that are right, after `delivered` output tokens: drawn, or as they were recorded.

    Each is with the chance of its request's class, kind and its position, or with that of the request itself, given
    that all before it were. The draw belongs to the request and the position of the token in its answer, so it does not
    depend on scheduling.
    """
    right = 0
    if len(engines.verdicts) == 0:
        kind, chance = kind_of(slot.luck, engines.draft_chances.shape[2]), slot.acceptance
        while right < drafted:
            if slot.acceptance < 0.0:
                chance = engines.draft_chances[rep.pool, slot.class_id, kind, right]
            if uniform(slot.luck, delivered + right) >= chance:
                break
            right += 1
        return right
    most = engines.verdicts.shape[1]
    while right < drafted and delivered + right < most and engines.verdicts[slot.request, delivered + right] != 0:
        right += 1
    return right


@shared_kernel
def uniform(a: int, b: int) -> float:
    """Number in [0, 1) that belongs to the pair (a, b): the same in every topology and at every repetition."""
    return (
        (mix(mix(np.int64(a) * _REQUEST) ^ (np.int64(b) * _TOKEN)) >> np.int64(11)) & np.int64((1 << 53) - 1)
    ) / 2.0**53


@shared_kernel
def kind_of(luck: int, kinds: int) -> int:
    """Of so many kinds of requests, each as likely, the one that a request is of."""
    return int(uniform(luck, _KIND) * kinds) if kinds > 1 else 0


@shared_kernel
def finds_drafts(luck: int, generated: int, chance: float) -> bool:
    """Whether there are drafts after so many tokens of an answer, with this chance."""
    return chance >= 1.0 or uniform(luck, _FOUND + generated) < chance
