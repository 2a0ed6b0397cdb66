"""What a file of measurements says, checked before any arithmetic."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.schema.base import IS_NUMBER

MOST_S = 1e9
MOST_TOKENS = 1_000_000_000
Size = Annotated[int, Field(ge=1, le=2**31 - 1), IS_NUMBER]
Seconds = Annotated[float, Field(ge=0, le=MOST_S), IS_NUMBER]
Since = Annotated[float, Field(ge=-MOST_S, le=MOST_S), IS_NUMBER]
Duration = Annotated[float, Field(gt=0, le=MOST_S), IS_NUMBER]
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS), IS_NUMBER]
Length = Annotated[int, Field(ge=1, le=MOST_TOKENS), IS_NUMBER]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Limits(_Part):
    """Resolved limits of an engine; others than these are kept as they are."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="allow")

    num_gpu_blocks: Size
    block_size: Size
    max_num_batched_tokens: Size
    max_num_seqs: Size
    max_model_len: Size
    cudagraph_capture_sizes: tuple[Size, ...] | None = None


class Described(_Part):
    """The engine that was measured: its model's Hugging Face configuration and its resolved limits."""

    model: dict[str, Any]
    config: Limits
    vllm_version: str = "unknown"
    device: str | dict[str, Any] = "unknown"

    @property
    def capture_sizes(self) -> tuple[int, ...]:
        return self.config.cudagraph_capture_sizes or ()


class ProfiledStep(_Part):
    """A step; `batch` is (tokens scheduled, tokens computed before) by request."""

    dur_s: Duration
    gap_s: Seconds | None = None
    batch: tuple[tuple[Tokens, Tokens], ...] = Field(min_length=1)


class ServedRequest(_Part):
    """A request of a serving run; times from its start."""

    arrival_s: Seconds
    isl: Length
    osl: Length
    first_token_s: Seconds
    finished_s: Seconds
    itls_s: tuple[Seconds, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.arrival_s <= self.first_token_s <= self.finished_s:
            raise ValueError("times must be in order: arrival <= first token <= finish")
        return self


class ServedRun(_Part):
    """Requests served at one rate; `steps` is (start, duration, sequences, tokens)."""

    rate_rps: Annotated[float, Field(gt=0, le=MOST_S), IS_NUMBER]
    requests: tuple[ServedRequest, ...] = Field(min_length=1)
    steps: tuple[tuple[Since, Seconds, Tokens, Tokens], ...] = ()


class RunFile(Described):
    """A `vllm-run/1` file."""

    profile_steps: tuple[ProfiledStep, ...] = Field(min_length=1)
    runs: tuple[ServedRun, ...] = ()
