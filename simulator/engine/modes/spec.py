"""What an engine does beyond plain serving, resolved to numbers: one part for each mode, absent parts are off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class GroupKind(IntEnum):
    """What the layers of a KV cache group read of the tokens before."""

    FULL = 0
    WINDOW = 1
    CHUNK = 2
    LINEAR = 3


@dataclass(frozen=True, slots=True)
class KvGroup:
    """Layers of one kind, with a block table of their own; all groups draw blocks from one pool.

    Attributes
    ----------
    block_size : tokens in a block of this group
    window_tokens : sliding window, or length of a local chunk; 0 for the other kinds
    aligned : linear attention keeps states at block boundaries for the prefix cache (vLLM `mamba_cache_mode: align`)
    saves_amid_chunk : its kernel saves the state where a prompt can be resumed amid the prompt's last chunk, in a block
        of its own (vLLM `num_prefill_checkpoint_blocks`)
    draft_states : states of linear attention kept for drafts, one each (vLLM `num_speculative_blocks`)
    has_draft_layers : layers of a drafter that gives up a hit block; all groups do where none has any
    """

    kind: GroupKind
    block_size: int
    window_tokens: int = 0
    aligned: bool = False
    draft_states: int = 0
    has_draft_layers: bool = False
    saves_amid_chunk: bool = False


@dataclass(frozen=True, slots=True)
class Flight:
    """Several plans in flight: asynchronous scheduling, pipeline stages, or both.

    Attributes
    ----------
    depth : plans made before the oldest output is applied (vLLM `max_concurrent_batches`)
    asynchronous : a plan counts on the tokens of plans before it
    eligible_after : with the V2 model runner, plans from one decode of a request to its next (pipeline stages), else 0
    stages : pipeline stages, which compute several plans at once
    """

    depth: int
    asynchronous: bool
    eligible_after: int = 0
    stages: int = 1


@dataclass(frozen=True, slots=True)
class Drafts:
    """Speculative decoding.

    Attributes
    ----------
    num_speculative_tokens : drafts asked for per request and step, K
    num_lookahead_tokens : KV slots reserved ahead
    reads_hidden_states : the drafter needs the token after a hit block (EAGLE, MTP)
    num_prefill_lookahead_tokens : tokens that several MTP modules read ahead in a prompt
    num_hash_lookahead_tokens : tokens after a block that its hash covers, so that no hit block is dropped (0.33)
    slots : inputs that drafting takes per scheduled request
    by_batch_size : (from, to, drafts) by number of requests in the step; empty: always K
    """

    num_speculative_tokens: int
    num_lookahead_tokens: int = 0
    reads_hidden_states: bool = False
    num_prefill_lookahead_tokens: int = 0
    num_hash_lookahead_tokens: int = 0
    slots: int = 0
    by_batch_size: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class DraftOdds:
    """How often drafts are made, and accepted.

    Attributes
    ----------
    acceptance : probability that a drafted token is accepted, given that all before it were
    by_position : the same by position of the draft; empty is `acceptance` at each
    std : standard deviation of `acceptance` between requests; 0: all have the same
    drafted_share : share of the steps for which there are drafts; n-grams are not always found
    run_steps : mean number of steps in a row for which there are; 0: each is independent of the one before
    """

    acceptance: float = 0.0
    by_position: tuple[float, ...] = ()
    std: float = 0.0
    drafted_share: float = 1.0
    run_steps: float = 0.0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encoder inputs: embeddings computed per step, embeddings kept, and whether a chunk may cut a picture."""

    budget_tokens: int
    cache_tokens: int
    whole_items: bool = False


@dataclass(frozen=True, slots=True)
class Waves:
    """Data-parallel ranks that step together (experts are shared).

    Attributes
    ----------
    ranks : data-parallel size
    prefill_interval : prefills are planned in every so-manieth step while others decode; 1 is always
    sync_interval : steps between common looks at whether anyone has requests
    lock_step : so many replicas in a row, without pipeline stages, begin and end their steps together; in a recording
        each rank is a pool
    """

    ranks: int
    prefill_interval: int = 1
    sync_interval: int = 16
    lock_step: bool = False


@dataclass(frozen=True, slots=True)
class Modes:
    """Modes of one engine; what is not given is plain serving.

    Attributes
    ----------
    groups : KV cache groups; empty is one group of full attention
    chunks_end_at_states : chunks of linear attention end where the prefix cache keeps a state
    max_in_flight_tokens : most tokens in flight at once, which windows reserve for
    max_num_scheduled_tokens : tokens in a plan; 0 is `max_num_batched_tokens`
    adaptive_prefill_cap : the cap of long prefills grows where few requests are present
    adaptive_cap_tokens : of which it is a share; 0 is `max_num_batched_tokens`
    connector : KV caches come from or go elsewhere
    max_loras : adapters in one step; 0 is no limit
    grammars : requests may have a grammar, which has to be compiled first
    stores : beginnings of requests may lie in a store of KV caches
    """

    groups: tuple[KvGroup, ...] = ()
    chunks_end_at_states: bool = False
    max_in_flight_tokens: int = 0
    max_num_scheduled_tokens: int = 0
    adaptive_prefill_cap: bool = False
    adaptive_cap_tokens: int = 0
    flight: Flight | None = None
    drafts: Drafts | None = None
    connector: bool = False
    encoder: Encoder | None = None
    max_loras: int = 0
    grammars: bool = False
    stores: bool = False
    waves: Waves | None = None
