"""The only file that touches vLLM's internals: a scheduler that writes down what it does, and one driven on its own.

Written against vLLM 0.32 (V1 engine). `missing_hooks` names what another version lacks; the self-test in `serve` holds
the recorded steps against the engine's own counters.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import vllm
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

TESTED_VERSIONS = ("0.32",)
STEP_LOG = "SERVECAST_STEP_LOG"
"""Environment variable: file to which a server's scheduler appends a line per step."""
_HOOKS = ("schedule", "update_from_output", "_preempt_request", "add_request")


def is_tested() -> bool:
    """Whether the hooks were tried with this release of vLLM."""
    return vllm.__version__.rsplit("+")[0].rsplit(".", 1)[0] in TESTED_VERSIONS


def missing_hooks() -> list[str]:
    """Names that the tracing scheduler overrides or reads and that this vLLM does not have."""
    return [f"{Scheduler.__module__}.Scheduler.{name}" for name in _HOOKS if not hasattr(Scheduler, name)]


@dataclass(slots=True)
class Step:
    """One step of the engine; times are seconds of the monotonic clock, shared by all processes of a machine.

    Attributes
    ----------
    begin_s, scheduled_s : `schedule()` entered; its plan ready
    noted_s : plan written down; `noted_s - scheduled_s` is the recorder's own time
    output_s, done_s : the model's output arrived; `update_from_output()` left
    batch : (request, tokens scheduled, tokens computed before), in the scheduler's order
    preempted : requests in order of preemption
    free_blocks : free KV blocks right after scheduling
    """

    begin_s: float
    scheduled_s: float
    batch: list[tuple[str, int, int]]
    preempted: list[str]
    free_blocks: int
    noted_s: float = 0.0
    output_s: float = 0.0
    done_s: float = 0.0


@dataclass(slots=True)
class StepLog:
    """Steps of one scheduler: planned ones wait for their output, done ones for the reader."""

    planned: deque[Step] = field(default_factory=deque)
    done: deque[Step] = field(default_factory=deque)
    previous_done_s: float = 0.0
    was_busy: bool = False

    def drain(self) -> list[Step]:
        steps = list(self.done)
        self.done.clear()
        return steps


class _Tracing:
    """Adds a `step_log` to a scheduler; changes nothing that it decides."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step_log = StepLog()
        self._preempted: list[str] = []
        path = os.environ.get(STEP_LOG)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if path else None

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        begin_s = perf_counter()
        self._preempted = []
        output = super().schedule(*args, **kwargs)  # type: ignore[misc]
        scheduled_s = perf_counter()
        step = note_step(self, output, begin_s, scheduled_s, self._preempted)
        step.noted_s = perf_counter()
        self.step_log.planned.append(step)
        return output

    def _preempt_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        self._preempted.append(request.request_id)
        super()._preempt_request(request, *args, **kwargs)  # type: ignore[misc]

    def update_from_output(self, *args: Any, **kwargs: Any) -> Any:
        output_s = perf_counter()
        outputs = super().update_from_output(*args, **kwargs)  # type: ignore[misc]
        step = self.step_log.planned.popleft()
        step.output_s, step.done_s = output_s, perf_counter()
        if self._file is None:
            self.step_log.done.append(step)
        else:
            self._log_line(step, self._file)
        return outputs

    def _log_line(self, step: Step, file: int) -> None:
        """`start duration sequences tokens`, one write each, since a server is killed.

        While there is work the gap before a step belongs to it, as when an engine is stepped from outside.
        """
        log = self.step_log
        is_async = bool(self.scheduler_config.async_scheduling)  # type: ignore[attr-defined]
        dur_s, gap_s = duration(step, log.previous_done_s, is_async)
        dur_s += gap_s if log.was_busy else 0.0
        log.previous_done_s = step.done_s
        log.was_busy = self.get_num_unfinished_requests() > 0  # type: ignore[attr-defined]
        tokens = sum(tokens for _, tokens, _ in step.batch)
        line = f"{step.done_s - dur_s:.6f} {dur_s:.6f} {len(step.batch)} {tokens}\n"
        os.write(file, line.encode())


def note_step(scheduler: Any, output: Any, begin_s: float, scheduled_s: float, preempted: list[str]) -> Step:
    """Read a plan; `num_computed_tokens` has already advanced by the scheduled tokens."""
    requests = scheduler.requests
    batch = [
        (name, tokens, requests[name].num_computed_tokens - tokens)
        for name, tokens in output.num_scheduled_tokens.items()
    ]
    free_blocks = scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
    return Step(begin_s, scheduled_s, batch, list(preempted), free_blocks)


def duration(step: Step, previous_done_s: float, is_async: bool) -> tuple[float, float]:
    """Wall time of a step and of the gap before it, in seconds.

    Synchronous: from entering `schedule()` to leaving `update_from_output()`, less the recorder's own time; the gap
    reaches back to the end of the step before. Asynchronous: two batches are in flight, so a step takes what the later
    of its own plan and the step before leaves of it, and there is no gap.
    """
    if is_async:
        return step.done_s - max(step.scheduled_s, previous_done_s), 0.0
    return step.done_s - step.begin_s - (step.noted_s - step.scheduled_s), step.begin_s - previous_done_s


class TracingScheduler(_Tracing, Scheduler):  # type: ignore[misc]
    """vLLM's scheduler, written down."""


class TracingAsyncScheduler(_Tracing, AsyncScheduler):  # type: ignore[misc]
    """vLLM's asynchronous scheduler, written down."""


def tracing_scheduler(**kwargs: Any) -> TracingScheduler | TracingAsyncScheduler:
    """The tracing scheduler that goes with the resolved configuration; what `scheduler_cls` names in a server."""
    is_async = kwargs["vllm_config"].scheduler_config.async_scheduling
    return (TracingAsyncScheduler if is_async else TracingScheduler)(**kwargs)


def scheduler_of(engine: Any) -> Any:
    """The scheduler of an engine in this process."""
    return engine.engine_core.engine_core.scheduler


def set_step_budget(scheduler: Any, tokens: int | None) -> None:
    """Most tokens of the coming steps, within `max_num_batched_tokens`; None lifts the limit."""
    most = scheduler.scheduler_config.max_num_batched_tokens
    scheduler.max_num_scheduled_tokens = most if tokens is None else min(tokens, most)


def limits_of(vllm_config: Any) -> dict[str, Any]:
    """The resolved configuration as a schedule recording names it."""
    scheduler, cache = vllm_config.scheduler_config, vllm_config.cache_config
    return {
        "vllm_version": vllm.__version__,
        "num_gpu_blocks": cache.num_gpu_blocks,
        "block_size": cache.block_size,
        "enable_prefix_caching": bool(cache.enable_prefix_caching),
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_model_len": vllm_config.model_config.max_model_len,
        "enable_chunked_prefill": bool(scheduler.enable_chunked_prefill),
        "long_prefill_token_threshold": scheduler.long_prefill_token_threshold,
        "policy": str(scheduler.policy),
        "scheduler_reserve_full_isl": bool(scheduler.scheduler_reserve_full_isl),
        "watermark": float(scheduler.watermark),
        "async_scheduling": bool(scheduler.async_scheduling),
    }


class LoneScheduler:
    """vLLM's scheduler and KV-cache manager without a model: thousands of steps a second.

    Parameters
    ----------
    limits : as `limits_of` gives them; vLLM checks them as for an engine
    model : folder with a `config.json`
    """

    def __init__(self, limits: dict[str, Any], model: str) -> None:
        config = EngineArgs(
            model=model,
            load_format="dummy",
            skip_tokenizer_init=True,
            enforce_eager=True,
            async_scheduling=False,
            num_gpu_blocks_override=limits["num_gpu_blocks"],
            max_num_batched_tokens=limits["max_num_batched_tokens"],
            max_num_seqs=limits["max_num_seqs"],
            max_model_len=limits["max_model_len"],
            enable_prefix_caching=limits["enable_prefix_caching"],
            enable_chunked_prefill=limits["enable_chunked_prefill"],
            long_prefill_token_threshold=limits["long_prefill_token_threshold"],
            scheduling_policy=limits["policy"],
            scheduler_reserve_full_isl=limits["scheduler_reserve_full_isl"],
            watermark=limits["watermark"],
        ).create_engine_config()
        config.cache_config.num_gpu_blocks = limits["num_gpu_blocks"]
        config.cache_config.block_size = limits["block_size"]  # backends restrict it, the scheduler does not
        self.limits = limits_of(config)
        self._hasher = None
        if limits["enable_prefix_caching"]:
            hash_fn = get_hash_fn_by_name(config.cache_config.prefix_caching_hash_algo)
            init_none_hash(hash_fn)
            self._hasher = get_request_block_hasher(limits["block_size"], hash_fn)
        self.scheduler = TracingScheduler(
            vllm_config=config,
            kv_cache_config=_one_full_attention_group(config, limits),
            structured_output_manager=StructuredOutputManager(config),
            block_size=limits["block_size"],
        )

    def add(self, name: str, prompt: list[int], osl: int, priority: int, arrival: int) -> None:
        """Queue a request; `arrival` orders equal priorities."""
        request = Request(
            request_id=name,
            prompt_token_ids=prompt,
            sampling_params=SamplingParams(max_tokens=osl, ignore_eos=True, detokenize=False),
            pooling_params=None,
            arrival_time=float(arrival),
            priority=priority,
            block_hasher=self._hasher,
        )
        self.scheduler.add_request(request)

    @property
    def has_requests(self) -> bool:
        return bool(self.scheduler.get_num_unfinished_requests())

    def step(self, tokens: Iterator[int]) -> Step:
        """Schedule, and give each request that caught up the next of `tokens` as its output."""
        output = self.scheduler.schedule()
        sampled = []
        for name in output.num_scheduled_tokens:
            request = self.scheduler.requests[name]
            caught_up = request.num_computed_tokens >= request.num_tokens
            sampled.append([next(tokens)] if caught_up else [])
        names = list(output.num_scheduled_tokens)
        made = ModelRunnerOutput(
            req_ids=names, req_id_to_index={name: k for k, name in enumerate(names)}, sampled_token_ids=sampled
        )
        self.scheduler.update_from_output(output, made)
        return self.scheduler.step_log.drain()[-1]


def _one_full_attention_group(config: Any, limits: dict[str, Any]) -> KVCacheConfig:
    spec = FullAttentionSpec(
        block_size=limits["block_size"], num_kv_heads=1, head_size=16, dtype=config.model_config.dtype
    )
    return KVCacheConfig(
        num_blocks=limits["num_gpu_blocks"],
        kv_cache_tensors=[],
        kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
    )
