"""What a simulated fleet used: the ledger that money is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.study.choices import LIMITS
from simulator.study.demand import MONDAY, When

State = Literal["starting", "serving", "leaving", "down", "spare-free"]


def _none(*shape: int) -> NDArray[np.int64]:
    return np.zeros(shape, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Stay:
    """One replica on one server in one state, from `start_s` to `end_s` of the simulated time.

    Attributes
    ----------
    server : number of the machine: of those of its site and GPU where it is owned, of those of its pool where rented
    lost : the machine is a rented one that has failed: its rental is over, and another begins once it is replaced
    """

    replica: int
    server: int
    state: State
    start_s: float
    end_s: float
    lost: bool = False


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Use of one pool over the window [start_s, end_s] of its `Usage`.

    Billed time runs from the launch of a replica to its end, so cold starts are in it. It splits exactly:
    billed = starting + busy + idle + down (failed; not paid for where the machine was rented), in replica-seconds.

    Attributes
    ----------
    billed_s, starting_s, busy_s, idle_s, down_s : replica-seconds
    gpus_per_replica : GPU-seconds are replica-seconds times this
    billed_by_hour_s : replica-seconds billed in each simulated hour, shape (ceil(end_s / 3600),), of the window alone;
        sums to billed_s
    energy_by_hour_j : energy of the GPUs in each simulated hour, same shape
    launches : replicas started (each a cold start), those that are there at time 0 apart
    peak_replicas : most replicas billed at once
    requests, input_tokens, cached_tokens, output_tokens : delivered work (all requests that ended here)
    outages, zone_down_s : outages of its zone that began, and seconds that the zone was down
    stays : where each replica was within the window
    before_s : (server, start_s) of each that was launched in the warm-up and is held without a gap into the window
    work : shape (classes, 6), of what completed in the window: requests, uncached input tokens, cached input tokens,
        output tokens, KV tokens read in decoding, prompt attention pairs; answers that a cascade threw away included
    steps : of its engines, that began in the window
    loaded_tokens : that requests had from the memory of the CPU instead of computing them
    thrown_tokens : shape (classes, 2), prompt and output tokens that were not delivered: of a cascade's first answers,
        and what was put out of answers that broke off or began anew when their replica was lost
    """

    name: str
    site: str
    gpus_per_replica: int
    billed_s: float
    starting_s: float
    busy_s: float
    idle_s: float
    down_s: float
    billed_by_hour_s: NDArray[np.float64]
    energy_by_hour_j: NDArray[np.float64]
    launches: int
    failures: int
    reclaims: int
    stockouts: int
    peak_replicas: int
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    outages: int = 0
    zone_down_s: float = 0.0
    stays: tuple[Stay, ...] = ()
    before_s: tuple[tuple[int, float], ...] = ()
    work: NDArray[np.int64] = field(default_factory=lambda: _none(0, 6))
    thrown_tokens: NDArray[np.int64] = field(default_factory=lambda: _none(0, 2))
    steps: int = 0
    loaded_tokens: int = 0

    @property
    def delivered_tokens(self) -> tuple[int, int]:
        """Prompt and output tokens of answers that users got."""
        prompt, output = self.thrown_tokens.reshape(-1, 2).sum(axis=0).tolist()
        return self.input_tokens - prompt, self.output_tokens - output

    @property
    def work_share(self) -> float:
        """Tokens that `work` was computed for / all that the pool scheduled; at most 1."""
        _, fresh, _, output, _, _ = self.work.reshape(-1, 6).sum(axis=0).tolist()
        every = self.input_tokens - self.cached_tokens + self.output_tokens
        return min(1.0, (fresh + output) / every) if every else 0.0


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """Owned servers of one site and GPU, which its pools share.

    Attributes
    ----------
    used : most servers that held a replica at once
    on_s_by_hour : seconds of each simulated hour, shape (ceil(end_s / 3600),), of the window alone, in which all that
        work of the site's servers are on, however many are bought; none in hours in which nothing runs
    down_s_by_hour : server-seconds of machines that had failed and were not repaired, same shape
    running_s_by_hour : server-seconds in which a replica that was not down stood on a server, same shape
    held_gpu_s_by_hour : GPU-seconds of replicas that were not down, same shape; their energy is that of the pools
    """

    site: str
    gpu: str
    gpus_per_server: int
    pools: tuple[str, ...]
    used: int
    on_s_by_hour: NDArray[np.float64]
    down_s_by_hour: NDArray[np.float64]
    running_s_by_hour: NDArray[np.float64]
    held_gpu_s_by_hour: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ProviderUsage:
    """Calls made to one token API in the window, whenever they end, and how it was up.

    Attributes
    ----------
    outages, down_s : outages that began, and seconds down, within the simulated time
    failed : requests that an outage ended: streams that broke, and those that nobody else could take
    asked : of each of its `LIMITS`, by calls that they let through and by requests given up for them, whenever the call
        is made, with the sum of squares of what each asked: shape (limits, 2); batches ask for nothing
    tokens : of answered calls, shape (classes, bands, 4): input, cached input, cache write, output; the first three
        make the prompt. Bands are those of the prompt's length by which prices change
    failed_tokens : of calls that ended in an error, same shape
    calls, failed_calls, retried_calls : shape (classes, bands): answered; ended in an error, an outage or the client's
        timeout, or turned away (rate limit, outage; band 0); those among both that repeat an earlier call
    thrown_tokens : shape (classes, 2), prompt and output tokens of a cascade's first answers that nobody saw
    tokens_by_hour, failed_tokens_by_hour : both kinds by the hour of day, UTC, in which the call was made, shape
        (24, classes, bands, 4); empty where no price depends on it
    """

    name: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    outages: int = 0
    down_s: float = 0.0
    failed: int = 0
    asked: NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(LIMITS), 2)))
    tokens: NDArray[np.int64] = field(default_factory=lambda: _none(0, 1, 4))
    failed_tokens: NDArray[np.int64] = field(default_factory=lambda: _none(0, 1, 4))
    calls: NDArray[np.int64] = field(default_factory=lambda: _none(0, 1))
    failed_calls: NDArray[np.int64] = field(default_factory=lambda: _none(0, 1))
    retried_calls: NDArray[np.int64] = field(default_factory=lambda: _none(0, 1))
    thrown_tokens: NDArray[np.int64] = field(default_factory=lambda: _none(0, 2))
    tokens_by_hour: NDArray[np.int64] = field(default_factory=lambda: _none(0, 0, 1, 4))
    failed_tokens_by_hour: NDArray[np.int64] = field(default_factory=lambda: _none(0, 0, 1, 4))

    @property
    def delivered_tokens(self) -> tuple[int, int]:
        """Prompt and output tokens of answers that users got."""
        prompt, output = self.thrown_tokens.reshape(-1, 2).sum(axis=0).tolist()
        return self.input_tokens - prompt, self.output_tokens - output

    @property
    def processed_tokens(self) -> tuple[int, int, int]:
        """Prompts, what was cached of these, and output; of calls that ended in an error what they read and gave."""
        fresh, cached, written, output = self.failed_tokens.reshape(-1, 4).sum(axis=0).tolist()
        return (
            self.input_tokens + fresh + cached + written,
            self.cached_tokens + cached,
            self.output_tokens + output,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """The ledger of one simulated topology over the window [start_s, end_s]: what came before is the warm-up.

    Attributes
    ----------
    servers : owned ones, by site and GPU
    when : it was, for prices by the hour
    requests : that came, by class, whatever became of them; each once, however many targets worked for it
    """

    end_s: float
    pools: tuple[PoolUsage, ...]
    providers: tuple[ProviderUsage, ...]
    servers: tuple[ServerUsage, ...] = ()
    start_s: float = 0.0
    when: When = MONDAY
    requests: tuple[int, ...] = ()

    @property
    def span_s(self) -> float:
        """Length of the window."""
        return self.end_s - self.start_s

    @property
    def processed_tokens(self) -> NDArray[np.int64]:
        """Of pools, then providers: prompts of ended answers, what was cached of these, output; shape (targets, 3)."""
        rows = [(one.input_tokens, one.cached_tokens, one.output_tokens) for one in self.pools]
        rows += [one.processed_tokens for one in self.providers]
        return np.array(rows, np.int64).reshape(-1, 3)

    @property
    def delivered_tokens(self) -> NDArray[np.int64]:
        """Of pools, then providers: prompt and output tokens of answers that users got; shape (targets, 2)."""
        targets: list[PoolUsage | ProviderUsage] = [*self.pools, *self.providers]
        rows = [one.delivered_tokens for one in targets]
        return np.array(rows, np.int64).reshape(-1, 2)
