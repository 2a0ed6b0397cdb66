"""Versions of vLLM's scheduler as values: what they decide differently, one row a version."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What the versions of vLLM's scheduler disagree on; all other rules are those of every version here.

    Attributes
    ----------
    self_preemption_ends_loop : a running request that had to preempt itself ends the running loop (priority policy)
    drops_last_hit_block : drafters that read hidden states give up the last block of a prefix hit; else the hash of a
        block covers one token beyond it, so that a block hits only where the next token is known as well
    registers_drafts_with_plan : blocks that drafts filled become findable with the next plan, else with the output
    no_tokens_end_waiting : a waiting request that gets no tokens (pictures, MTP's read-ahead) ends the waiting loop
    chunk_may_begin_with_part : where pictures must not be cut, a chunk that begins with one may still end inside it
    reads_ahead_of_pictures : where a drafter reads ahead, a chunk that a picture ends stops as many tokens earlier, and
        a picture is kept as many tokens longer
    junction_kept_one_lower : a drafter that gives up a hit block also keeps the place one block below a junction
    state_written_once : a state of linear attention that is findable already is not written again in this step
    stop_takes_back_trimmed : tokens sampled beyond the one that ends a request are not computed
    lora_counts_running : adapters of all running requests count, not only of those in this step
    prefill_interval_alone : prefills are held back without data parallelism, too
    chunks_offered_again : a request that begins anew offers all its chunks to the memory of the CPU again
    chunks_stored_whole : a chunk lacks no block that somebody can read, or it is not stored
    chunks_used_at_once : what a request meets in the memory of the CPU counts as used from then on (LRU)
    """

    version: str
    self_preemption_ends_loop: bool
    drops_last_hit_block: bool
    registers_drafts_with_plan: bool
    no_tokens_end_waiting: bool
    chunk_may_begin_with_part: bool
    reads_ahead_of_pictures: bool
    junction_kept_one_lower: bool
    state_written_once: bool
    stop_takes_back_trimmed: bool
    lora_counts_running: bool
    prefill_interval_alone: bool
    chunks_offered_again: bool
    chunks_stored_whole: bool
    chunks_used_at_once: bool


V0_32 = RuleSet(
    version="0.32.0",
    self_preemption_ends_loop=True,
    drops_last_hit_block=True,
    registers_drafts_with_plan=True,
    no_tokens_end_waiting=True,
    chunk_may_begin_with_part=True,
    reads_ahead_of_pictures=True,
    junction_kept_one_lower=False,
    state_written_once=False,
    stop_takes_back_trimmed=False,
    lora_counts_running=False,
    prefill_interval_alone=False,
    chunks_offered_again=False,
    chunks_stored_whole=False,
    chunks_used_at_once=False,
)
V0_33 = replace(
    V0_32,
    version="0.33.0",
    self_preemption_ends_loop=False,
    drops_last_hit_block=False,
    registers_drafts_with_plan=False,
    no_tokens_end_waiting=False,
    chunk_may_begin_with_part=False,
    reads_ahead_of_pictures=False,
    junction_kept_one_lower=True,
    state_written_once=True,
    stop_takes_back_trimmed=True,
    lora_counts_running=True,
    prefill_interval_alone=True,
    chunks_offered_again=True,
    chunks_stored_whole=True,
    chunks_used_at_once=True,
)
RULE_SETS = {rules.version: rules for rules in (V0_32, V0_33)}
"""Versions that were proven by recordings."""
