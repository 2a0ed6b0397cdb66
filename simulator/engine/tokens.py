"""Delivery of tokens: first-token times and the distribution of gaps between tokens (ITL)."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.state import ITL_BINS, ITL_FIRST_BIN, ITL_SHIFT, Engines
from simulator.jit import kernel


@kernel
def itl_bin(gap_s: Any) -> Any:
    """Bin of a gap: the leading bits of the float, which is a logarithmic scale."""
    position = (np.float64(gap_s).view(np.int64) >> np.int64(ITL_SHIFT)) - ITL_FIRST_BIN
    return min(max(position, 0), ITL_BINS - 1)


@kernel
def emit_tokens(engines: Engines, rep: Any, slot: Any, tokens: int, now: float) -> None:
    """Deliver up to `tokens` tokens to one request at `now`; several at once (accepted drafts) have no gap between."""
    tokens = min(tokens, slot.osl - slot.generated)
    if slot.generated == 0:
        slot.first_token_s = now
        engines.itl_counts[slot.class_id, 0] += tokens - 1
    else:
        engines.itl_counts[slot.class_id, itl_bin(now - slot.last_token_s)] += 1
        engines.itl_counts[slot.class_id, 0] += tokens - 1
    slot.generated += tokens
    slot.last_token_s = now
    rep.output_tokens += tokens
