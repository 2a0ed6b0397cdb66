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

    @property
    def num_tokens(self) -> int:
        """Prompt and generated tokens."""
        return self.isl + self.num_output_tokens

    @property
    def num_tokens_with_spec(self) -> int:
        """Prompt, generated and drafted tokens."""
        return self.num_tokens + self.num_spec_tokens

    @property
    def is_finished(self) -> bool:
        return self.num_output_tokens >= self.osl

    @property
    def serving_order(self) -> tuple[int, float, int]:
        """Sort key of the priority policy: (priority, arrival, number), smallest first."""
        return (self.priority, self.arrival_s, self.number)

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
    """Chain hashes of full blocks (vLLM 0.32.0 `hash_block_tokens`), without collisions.

    Equal numbers mean equal tokens from the beginning of the sequence to the end of the block. Numbers are given out
    in order of first appearance; 0 is the empty sequence.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._known: dict[tuple[int, tuple[Run, ...]], int] = {}

    def extend(self, request: Request, n_blocks: int) -> None:
        """Bring `request.block_hashes` to at least `n_blocks` blocks."""
        for index in range(len(request.block_hashes), n_blocks):
            parent = request.block_hashes[-1] if request.block_hashes else 0
            runs = tuple(request.runs(index * self._block_size, (index + 1) * self._block_size))
            request.block_hashes.append(self._known.setdefault((parent, runs), len(self._known) + 1))
