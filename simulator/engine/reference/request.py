"""A request as the scheduler sees it, and the identity of its content block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

Segment = tuple[int | str, int]
"""Segment id and number of tokens; private content has the id `private:<request number>`, which no other has."""
Run = tuple[int | str, int, int]
"""Segment id, position in the segment, number of tokens."""


class RequestStatus(Enum):
    """Where a request is (vLLM 0.32.0 `RequestStatus`, the states a text request passes)."""

    WAITING = "waiting"
    WAITING_FOR_REMOTE_KVS = "waiting_for_remote_kvs"
    WAITING_FOR_GRAMMAR = "waiting_for_structured_output_grammar"
    RUNNING = "running"
    PREEMPTED = "preempted"
    FINISHED = "finished"


@dataclass(eq=False)
class Request:
    """One request: no prefill phase, no decode phase, only tokens and how many of them are computed (vLLM 0.32.0).

    Attributes
    ----------
    number : unique; also breaks ties between equal arrivals
    isl, osl : prompt tokens, and tokens it will generate
    priority : lower is served first; counts only with the priority policy
    segments : listed prompt content, at most isl tokens; the rest of the prompt is private
    output_continues : generated tokens extend the last listed segment if the prompt ends with it; else private
    remote_decode : its blocks are kept when it has finished, until they have been sent (vLLM `do_remote_decode`)
    remote_prefill : its prompt's KV is still to be fetched from where it was computed (vLLM `do_remote_prefill`)
    kv_loaded : its prompt's KV was fetched and not lost since
    num_computed_tokens : tokens whose KV is computed, or being computed in the present step
    num_output_tokens : tokens generated so far
    num_spec_tokens : drafts to verify in the next step
    num_cached_tokens : prefix hit of the first admission; None before
    name, tie : order equal (priority, arrival) in the waiting heap, and among victims; the number unless given
    images : (offset, tokens, name) of encoder inputs in the prompt; equal names are equal content
    lora, salt : adapter, and cache salt: part of a block's content
    stop_after : the output token that is a stop token; 0 is none
    external_tokens, external_apart : tokens that a store has of the prompt, and whether they load apart from the step
    most_loaded_tokens, most_stored_tokens : that the memory of the CPU gives beyond the hit on the GPU, and takes
    has_grammar : its output is structured; it waits until its grammar is compiled
    num_output_placeholders : tokens planned for, but not sampled yet (asynchronous scheduling)
    num_in_flight_tokens : scheduled tokens whose output has not been applied
    is_prefill_chunk : after its last plan, tokens were left to compute
    held_back : tokens of its content behind its prompt, which another engine computes
    junction : tokens at which another kind of layers had a longer hit (hybrid groups)
    block_hashes : content of the leading full blocks, filled by the KV cache manager as far as it was needed
    """

    number: int
    arrival_s: float
    isl: int
    osl: int
    priority: int = 0
    segments: tuple[Segment, ...] = ()
    output_continues: bool = False
    remote_decode: bool = False
    remote_prefill: bool = False
    kv_loaded: bool = False
    status: RequestStatus = RequestStatus.WAITING
    num_computed_tokens: int = 0
    num_output_tokens: int = 0
    num_spec_tokens: int = 0
    num_preemptions: int = 0
    num_cached_tokens: int | None = None
    block_hashes: list[int] = field(default_factory=list)
    name: int | str = ""
    tie: int = -1
    images: tuple[tuple[int, int, str], ...] = ()
    lora: int | None = None
    salt: str | None = None
    stop_after: int = 0
    external_tokens: int = 0
    external_apart: bool = False
    most_loaded_tokens: int | None = None
    most_stored_tokens: int | None = None
    has_grammar: bool = False
    num_output_placeholders: int = 0
    num_in_flight_tokens: int = 0
    is_prefill_chunk: bool = False
    held_back: int = 0
    junction: int = 0

    def __post_init__(self) -> None:
        self.name = self.number if self.name == "" else self.name
        self.tie = self.number if self.tie < 0 else self.tie

    @property
    def num_tokens(self) -> int:
        """Prompt and generated tokens."""
        return self.isl + self.num_output_tokens

    @property
    def serving_order(self) -> tuple[int, float, int | str]:
        """Sort key of the priority policy: (priority, arrival, name), smallest first."""
        return (self.priority, self.arrival_s, self.name)

    @property
    def victim_order(self) -> tuple[int, float, int]:
        """The running request with the largest one is preempted, the first of equal ones."""
        return (self.priority, self.arrival_s, self.tie)

    def take_back_drafts(self, rejected: int) -> None:
        """Drafts that were computed and not accepted."""
        if self.num_computed_tokens > 0:
            self.num_computed_tokens -= rejected
        if self.num_output_placeholders > 0:
            self.num_output_placeholders -= rejected

    def deliver(self, sampled: int, max_model_len: int) -> int:
        """Tokens up to the one that ends the request."""
        for k in range(sampled):
            self.num_output_tokens += 1
            if self.is_finished(max_model_len):
                return k + 1
        return sampled

    def is_finished(self, max_model_len: int) -> bool:
        out = self.num_output_tokens
        return out >= self.osl or out == self.stop_after or self.num_tokens >= max_model_len

    def _content(self) -> list[Segment]:
        """All content, prompt and everything that may be generated, as (segment id, tokens)."""
        listed = sum(tokens for _, tokens in self.segments)
        rest = self.isl + self.osl - listed
        if self.output_continues and self.segments and listed == self.isl:
            name, tokens = self.segments[-1]
            return [*self.segments[:-1], (name, tokens + rest)]
        return [*self.segments, (f"private:{self.number}", rest)]

    def runs(self, start: int, end: int) -> Iterator[Run]:
        """Content of the tokens [start, end): two tokens are equal exactly when segment id and position are."""
        before = 0
        for name, tokens in self._content():
            first, last = max(start, before), min(end, before + tokens)
            if first < last:
                yield (name, first - before, last - first)
            before += tokens


class ContentHasher:
    """Chain hashes of full blocks (vLLM `hash_block_tokens`), without collisions.

    Equal numbers mean equal tokens from the beginning of the sequence to the end of the block, equal pictures, adapter
    and salt. Numbers are given out in order of first appearance; 0 is the empty sequence.

    Parameters
    ----------
    lookahead_tokens : tokens beyond a block that its hash covers as well; a block has none until they are known
    """

    def __init__(self, block_size: int, lookahead_tokens: int = 0) -> None:
        self.block_size, self.lookahead_tokens = block_size, lookahead_tokens
        self._known: dict[tuple[object, ...], int] = {}

    def extend(self, request: Request, n_blocks: int) -> None:
        """Bring `request.block_hashes` to at least `n_blocks` blocks."""
        size = self.block_size
        for index in range(len(request.block_hashes), n_blocks):
            start, end = index * size, (index + 1) * size
            read = end + self.lookahead_tokens
            pictures = tuple(
                (name, offset - start)
                for offset, tokens, name in request.images
                if offset < read and offset + tokens > start
            )
            parent = request.block_hashes[-1] if request.block_hashes else 0
            key = (
                parent,
                tuple(request.runs(start, end)),
                tuple(request.runs(end, read)),
                pictures,
                request.lora,
                request.salt if index == 0 else None,
            )
            request.block_hashes.append(self._known.setdefault(key, len(self._known) + 1))
