"""Recordings of a real scheduler, step by step: the file format `vllm-schedule-trace/1`.

A recording holds the engine's resolved limits, the requests, and each step that scheduled or preempted something. Time
does not enter: before engine step k all requests with `arrival_step` <= k are added in order of their ids; while the
engine is empty, k jumps to the next arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.engine.config import EngineConfig, Policy
from simulator.engine.modes.offload.arrays import refuses_offload
from simulator.engine.modes.rooms.arrays import asks
from simulator.engine.modes.tables.arrays import refuses
from simulator.engine.rules import RULE_SETS, V0_33
from simulator.engine.trace_modes import modes_from

FORMAT = "vllm-schedule-trace/1"


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request of a recording.

    Attributes
    ----------
    id : unique; requests of the same arrival step are added in order of their ids
    arrival_step : first engine step that may see it
    prompt : (segment id, tokens); prompt tokens are equal exactly when segment id and position in the segment are
    osl : exact number of tokens generated
    priority : lower is served first, with the priority policy
    name, arrival_order, n_parent : vLLM's id, which orders ties as text; arrival that orders equal priorities; parent
        of parallel samples
    accept : character p is 1 if a draft for output position p is right
    drafts : after the g-th token (g-th character) so many drafts are made; empty: all
    stop_after : the output token that is a stop token; 0 is none
    salt, lora, images : part of the content: cache salt, adapter, (offset, tokens, name) of pictures
    grammar_ready_step : iteration before which its grammar is compiled; None without a grammar
    remote_prefill, remote_decode : its KV comes from, or goes to, another engine (NIXL)
    stored_tokens, async_load : tokens that a store has, and whether they load apart from the step
    load_steps, send_steps, store_steps : iterations that a transfer takes
    max_load_tokens, max_offload_tokens : that the memory of the CPU gives, and takes; None is no limit
    rank : data-parallel rank
    held_back : last tokens of the prompt that the other side computes, of a prompt whose KV goes there
    """

    id: int
    arrival_step: int
    prompt: tuple[tuple[int, int], ...]
    osl: int
    priority: int
    name: str = ""
    arrival_order: float | None = None
    n_parent: int | None = None
    accept: str = ""
    drafts: str = ""
    stop_after: int = 0
    salt: str | None = None
    lora: int | None = None
    images: tuple[tuple[int, int, str], ...] = ()
    grammar_ready_step: int | None = None
    remote_prefill: bool = False
    remote_decode: bool = False
    stored_tokens: int = 0
    async_load: bool = False
    load_steps: int = 0
    send_steps: int = 0
    store_steps: int = 0
    max_load_tokens: int | None = None
    max_offload_tokens: int | None = None
    rank: int = 0
    held_back: int = 0

    @property
    def isl(self) -> int:
        """Prompt tokens that this engine computes."""
        return sum(tokens for _, tokens in self.prompt) - self.held_back

    @property
    def order(self) -> float:
        """Arrival by which equal priorities are served."""
        return float(self.id) if self.arrival_order is None else self.arrival_order

    @property
    def text(self) -> str:
        """vLLM's id of it."""
        return self.name or str(self.id)


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One engine step.

    Attributes
    ----------
    step : engine step index
    scheduled : (request id, tokens scheduled, tokens computed before), in the scheduler's order
    preempted : request ids in order of preemption
    free_blocks : free KV blocks right after scheduling
    spec : (request id, drafts verified, drafts accepted)
    loads : (request id, blocks to fetch) asked for with this plan
    recv, sent : ids whose KV has arrived or was sent, noticed with the output
    stores : (request id, chunks to copy to the memory of the CPU), asked for with this plan
    flushed : ids of the copies that the step waits for
    stored : ids of the copies to the CPU that are done, noticed with the output
    encoder : (request id, indices of pictures encoded)
    finished : ids that ended with this step's output
    """

    step: int
    scheduled: tuple[tuple[int, int, int], ...]
    preempted: tuple[int, ...]
    free_blocks: int
    spec: tuple[tuple[int, int, int], ...] = ()
    loads: tuple[tuple[int, int], ...] = ()
    recv: tuple[int, ...] = ()
    sent: tuple[int, ...] = ()
    stores: tuple[tuple[int, int], ...] = ()
    flushed: tuple[int, ...] = ()
    stored: tuple[int, ...] = ()
    encoder: tuple[tuple[int, tuple[int, ...]], ...] = ()
    finished: tuple[int, ...] = ()

    def plain(self) -> TraceStep:
        """What recordings of plain serving hold of it."""
        return TraceStep(self.step, self.scheduled, self.preempted, self.free_blocks)

    @property
    def is_kept(self) -> bool:
        """Whether a recording has an entry for it."""
        copied = self.loads or self.recv or self.sent or self.stores or self.stored
        return bool(self.scheduled or self.preempted or copied)


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """What happened from outside in iteration `step`: clients left, or the prefix cache was reset.

    Attributes
    ----------
    during : after the plan of the iteration, before its output is applied; else before arrivals are queued
    reset : `idle`, `running` (also preempts all running requests first) or empty
    connector : the memory of the CPU is emptied, too
    """

    step: int
    abort: tuple[int, ...] = ()
    during: bool = False
    reset: str = ""
    connector: bool = False


@dataclass(frozen=True, slots=True)
class TraceRank:
    """Steps of one data-parallel rank."""

    steps: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class ScheduleTrace:
    """A recording; `vllm_version` names the scheduler that was recorded.

    Attributes
    ----------
    mode : name of the mode; `plain` unless the recording says otherwise
    ranks : steps by data-parallel rank, instead of `steps`
    has_details : its steps hold more than requests, tokens, preemptions and free blocks
    loop : data parallel: (iteration, a character by rank: `s` a step with tokens, `d` a dummy batch, `-` neither)
    """

    file: str
    vllm_version: str
    config: EngineConfig
    requests: tuple[TraceRequest, ...]
    steps: tuple[TraceStep, ...]
    mode: str = "plain"
    events: tuple[TraceEvent, ...] = ()
    ranks: tuple[TraceRank, ...] = ()
    loop: tuple[tuple[int, str], ...] = ()
    has_details: bool = False

    def modes_in_use(self) -> list[str]:
        """Its modes that the compiled engine does not have, in words."""
        config, modes = self.config, self.config.modes
        found = {
            "drafts in a synchronous pipeline": modes.drafts is not None
            and modes.flight is not None
            and modes.flight.depth > 1
            and not modes.flight.asynchronous,
            refuses(config): bool(refuses(config)),
            refuses_offload(config): bool(refuses_offload(config)),
            "equal priorities and arrivals in another order than that of names": config.policy == Policy.PRIORITY
            and not self._is_ordered(),
        }
        return [words for words, used in found.items() if used]

    def asks(self) -> bool:
        """Whether its engine looks at every request in every plan, or something came from outside meanwhile."""
        return (
            asks(self.config.modes)
            or self.config.modes.connector
            or bool(self.ranks)
            or any(event.reset for event in self.events)
            or any(row.grammar_ready_step is not None for row in self.requests)
            or self._leave_while_served()
            or (self.config.modes.flight is not None and any(event.abort for event in self.events))
        )

    def in_order(self) -> list[TraceRequest]:
        """Requests as they come; by priority the answers to one request in order of their names, in which they wait.

        Not where requests are told of by their ids meanwhile, in order of these.
        """
        rows = sorted(self.requests, key=lambda row: (row.arrival_step, row.id))
        if self.config.policy == Policy.PRIORITY and not self.events and not self.config.modes.connector:
            rows.sort(key=lambda row: (row.arrival_step, row.order, row.text))
        return rows

    def _is_ordered(self) -> bool:
        """Whether requests of one priority and arrival come together, in order of their names."""
        together: dict[tuple[int, float], TraceRequest] = {}
        for row in self.in_order():
            before = together.setdefault((row.priority, row.order), row)
            if before is not row and (before.arrival_step != row.arrival_step or before.text > row.text):
                return False
            together[row.priority, row.order] = row
        return True

    def _leave_while_served(self) -> bool:
        first: dict[int, int] = {}
        for step in self.steps:
            for number, _, _ in step.scheduled:
                first.setdefault(number, step.step)
        return any(
            number in first and first[number] < event.step + event.during
            for event in self.events
            for number in event.abort
        )


LIMITS = {
    "num_gpu_blocks": "num_blocks",
    "block_size": "block_size",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_num_seqs": "max_num_seqs",
    "max_model_len": "max_model_len",
    "enable_prefix_caching": "enable_prefix_caching",
    "enable_chunked_prefill": "enable_chunked_prefill",
    "long_prefill_token_threshold": "long_prefill_token_threshold",
    "policy": "policy",
    "scheduler_reserve_full_isl": "reserve_full_isl",
    "watermark": "watermark",
}
"""Limits of an engine as vLLM and recordings name them, and the fields of `EngineConfig`."""


def config_from_limits(limits: Mapping[str, Any]) -> EngineConfig:
    """Engine of a recording's limits, which must be sound; what they do not say is vLLM's default.

    Raises
    ------
    KeyError : no number of KV blocks, or an unknown policy
    """
    values = {field: limits[name] for name, field in LIMITS.items() if name in limits}
    if "policy" in values:
        values["policy"] = Policy[str(values["policy"]).upper()]
    values |= {
        "num_blocks": int(limits["num_gpu_blocks"]),
        "max_num_seqs": limits.get("max_num_active_seqs", values["max_num_seqs"]),
    }
    rules = RULE_SETS.get(str(limits.get("vllm_version")), V0_33)
    modes = modes_from(limits, rules)
    if modes.drafts is not None:
        values |= {
            "num_speculative_tokens": modes.drafts.num_speculative_tokens,
            "num_lookahead_tokens": modes.drafts.num_lookahead_tokens,
            "draft_slots": modes.drafts.slots,
            "drop_last_hit_block": bool(limits["speculative"].get("eagle_block_drop")),
        }
    return EngineConfig(**values, rules=rules, modes=modes)
