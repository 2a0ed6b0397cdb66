"""One published result: the configuration, the load and the figures, in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests arrive at `rate_rps` whatever the server does; `process` is `poisson` or `constant`."""

    rate_rps: float
    process: str


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """At most `concurrency` requests are in flight; the next one is sent when one has ended."""

    concurrency: int


@dataclass(frozen=True, slots=True)
class Burst:
    """All requests are sent at once."""


Load = OpenLoop | ClosedLoop | Burst

Figures = Mapping[tuple[str, str], float]
"""(metric, statistic) to value: `ttft`, `tpot`, `itl`, `e2e` in seconds with `mean`, `p50`, `p90` or `p99`;
`throughput` in tokens/s with `total` or `output`, or requests/s with `requests`."""


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One row of a table of serving results.

    Attributes
    ----------
    place : `file:line`
    model, gpu, dtype, kv_dtype : catalog names; `model` may be the path of a `config.json`
    engine_version : as published, empty where it is not stated
    isl, osl : mean prompt and output tokens as published (throughputs count these)
    generated_tokens : output tokens of a request that the engine generates, where a client counted otherwise
    dataset, workload, source_path : name of the data set, what is said of the prompts, the file of the result
    measured_on : day of the measurement, as 2025-10-29; empty where it is not stated
    endpoint : `chat` where the API renders the prompt from messages, else empty
    dp : ranks that compute attention for requests of their own; of a dense model, engines on their own
    num_requests : requests sent, those that failed included; None where it is not stated
    limits : engine limits that the row states, by vLLM's names
    prefix_caching, chunked_prefill, async_scheduling : as stated, None for the engine's default
    isl_cv, osl_cv : coefficients of variation of the lengths; None where they are not stated
    """

    place: str
    row_id: str
    model: str
    gpu: str
    dtype: str
    kv_dtype: str
    tp: int
    pp: int
    dp: int
    expert_parallel: bool
    engine_version: str
    isl: float
    osl: float
    generated_tokens: float
    load: Load
    num_requests: int | None
    dataset: str
    workload: str
    source_path: str
    measured_on: str
    endpoint: str
    limits: Mapping[str, float]
    prefix_caching: bool | None
    chunked_prefill: bool | None
    async_scheduling: bool | None
    isl_cv: float | None
    osl_cv: float | None
    figures: Figures

    @property
    def gpus(self) -> int:
        return self.tp * self.pp * self.dp

    @property
    def is_burst(self) -> bool:
        return isinstance(self.load, Burst)


@dataclass(frozen=True, slots=True)
class Excluded:
    """A row that is not simulated, and why."""

    place: str
    row_id: str
    reason: str
