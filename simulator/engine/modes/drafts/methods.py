"""Drafters by vLLM's names of them: what each reads, and what it takes of the KV cache and of a step."""

from __future__ import annotations

READS_HIDDEN_STATES = frozenset({"eagle", "eagle3", "mtp", "dflash", "dspark"})
"""Drafters that need the target's hidden state of the token before (vLLM `use_eagle()`)."""
DRAFTS_ON_DEVICE = READS_HIDDEN_STATES | {"draft_model", "ngram_gpu"}
"""Drafters whose drafts stay on the device, so that the next plan need not wait for them."""


def lookahead_slots(method: str, num_speculative_tokens: int) -> int:
    """KV slots that the drafter writes beyond a request's tokens (vLLM `num_lookahead_tokens`)."""
    if method not in READS_HIDDEN_STATES and method != "draft_model":
        return 0
    return num_speculative_tokens + (method == "dflash")


def draft_slots(method: str, num_speculative_tokens: int) -> int:
    """Inputs of a step that drafting takes for each request (vLLM `max_num_new_slots_for_drafting`)."""
    k = num_speculative_tokens
    return {"draft_model": 1, "dflash": k, "dspark": k - 1}.get(method, 0)
