"""Limits of one serving engine, as vLLM resolves them at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from simulator.engine.modes.offload.spec import offload_of
from simulator.engine.modes.spec import DraftOdds, Modes
from simulator.engine.rules import V0_32, RuleSet


class Policy(IntEnum):
    """Order of the waiting queue and choice of the preemption victim (vLLM `scheduling_policy`)."""

    FCFS = 0
    PRIORITY = 1


class Batching(IntEnum):
    """How requests share the engine.

    CONTINUOUS is vLLM's scheduler. STATIC forms a batch of those that wait when the engine is empty, at most
    `max_num_seqs`; it is computed over as many steps as the token budget takes, and nothing else is admitted until
    the last of it has finished. ONE_AT_A_TIME is static batching with a batch of one.
    """

    CONTINUOUS = 0
    STATIC = 1
    ONE_AT_A_TIME = 2


_PLAIN = Modes()


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Scheduler and KV-cache limits of one replica; names and defaults are vLLM 0.32's.

    Attributes
    ----------
    num_blocks : KV blocks of the replica, the reserved null block included (vLLM `num_gpu_blocks`)
    block_size : tokens in one KV block
    max_num_batched_tokens : token budget of one step
    max_num_seqs : most requests running at once
    max_model_len : longest prompt + output in tokens; longer requests are rejected
    enable_prefix_caching : keep full blocks by content and reuse them
    enable_chunked_prefill : let a prompt be computed over several steps
    long_prefill_token_threshold : most prompt tokens of one request in one step while others are present; 0 is off
    policy : FCFS or PRIORITY
    reserve_full_isl : admit a request only if all its tokens so far fit (vLLM `scheduler_reserve_full_isl`)
    watermark : share of the blocks that an admission must leave free while something is running
    batching : CONTINUOUS, STATIC or ONE_AT_A_TIME
    num_speculative_tokens : tokens drafted per request and step; 0 is off
    num_lookahead_tokens : KV slots reserved ahead for drafts (vLLM: 0 for n-gram, else the drafts)
    draft_slots : inputs of a step that drafting takes for each scheduled request (vLLM: 1 with a draft model)
    draft_acceptance : probability that a drafted token is accepted, given that all before it were
    acceptance_by_position : the same by position of the draft; empty is `draft_acceptance` at each
    acceptance_std : standard deviation, between requests, of the one at each position; 0: all have the same
    drafted_share : share of the steps for which there are drafts; n-grams are not always found
    drafted_run_steps : mean number of steps in a row for which there are; 0: each is independent of the one before
    odds_by_class : the last five by class of requests, in the workload's order; empty where classes are alike
    drop_last_hit_block : a drafter that reads hidden states (EAGLE, MTP) recomputes one more block of a prefix hit
    rules : version of vLLM
    modes : what is on beyond plain serving
    """

    num_blocks: int
    block_size: int = 16
    max_num_batched_tokens: int = 8192
    max_num_seqs: int = 1024
    max_model_len: int = 131072
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    policy: Policy = Policy.FCFS
    reserve_full_isl: bool = True
    watermark: float = 0.0
    batching: Batching = Batching.CONTINUOUS
    num_speculative_tokens: int = 0
    num_lookahead_tokens: int = 0
    draft_slots: int = 0
    draft_acceptance: float = 0.0
    acceptance_by_position: tuple[float, ...] = ()
    acceptance_std: float = 0.0
    drafted_share: float = 1.0
    drafted_run_steps: float = 0.0
    odds_by_class: tuple[DraftOdds, ...] = ()
    drop_last_hit_block: bool = False
    rules: RuleSet = V0_32
    modes: Modes = _PLAIN

    @property
    def draft_chances(self) -> tuple[float, ...]:
        """Probability that each draft of a step is accepted, given that all before it were, in the mean of requests."""
        return self.acceptance_by_position or (self.draft_acceptance,) * self.num_speculative_tokens

    @property
    def draft_odds(self) -> tuple[DraftOdds, ...]:
        """How often drafts are made and accepted, by class of requests, or once where classes are alike."""
        alike = DraftOdds(
            self.draft_acceptance,
            self.acceptance_by_position,
            self.acceptance_std,
            self.drafted_share,
            self.drafted_run_steps,
        )
        return self.odds_by_class or (alike,)

    @property
    def hash_lookahead_tokens(self) -> int:
        """Tokens after a block that its hash covers (0.33, drafters that read hidden states)."""
        return self.modes.drafts.num_hash_lookahead_tokens if self.modes.drafts else 0

    @property
    def names_blocks(self) -> bool:
        """Whether it matters which block a request holds, beside how many: it is found again, or copied."""
        return self.enable_prefix_caching or offload_of(self.modes) is not None

    @property
    def tracks_blocks(self) -> bool:
        """Whether a request has a table of its blocks."""
        return self.names_blocks or bool(self.modes.groups)
