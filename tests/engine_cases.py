"""Random engine configurations and requests for the laws of the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from simulator.engine.config import Batching, EngineConfig, Policy
from simulator.engine.modes.spec import Modes
from simulator.perf.steptime import Launches, StepTime
from simulator.workload.requests import Requests, make_requests

BUDGET, SEQS = 48, 6


@st.composite
def configs(draw: st.DrawFn) -> EngineConfig:
    drafts = draw(st.sampled_from([0, 0, 1, 3]))
    budget = draw(st.integers(2 + drafts, BUDGET))
    slots = draw(st.sampled_from([0, 1, drafts])) if drafts else 0
    return EngineConfig(
        num_blocks=draw(st.integers(6, 40)),
        block_size=draw(st.sampled_from([1, 4, 8, 16])),
        max_num_batched_tokens=budget,
        max_num_seqs=draw(st.integers(1, SEQS)),
        max_model_len=draw(st.sampled_from([40, 200])),
        enable_prefix_caching=draw(st.booleans()),
        enable_chunked_prefill=draw(st.booleans()),
        long_prefill_token_threshold=draw(st.sampled_from([0, 0, 5])),
        policy=draw(st.sampled_from(Policy)),
        reserve_full_isl=draw(st.booleans()),
        watermark=draw(st.sampled_from([0.0, 0.2])),
        batching=draw(st.sampled_from([Batching.CONTINUOUS, *Batching])),
        num_speculative_tokens=drafts,
        num_lookahead_tokens=draw(st.sampled_from([0, drafts])),
        draft_slots=slots,
        modes=Modes(
            max_num_scheduled_tokens=draw(st.sampled_from([0, 1 + drafts, budget // 2, budget])) if slots else 0
        ),
        draft_acceptance=draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])),
        acceptance_std=draw(st.sampled_from([0.0, 0.3])),
        drafted_share=draw(st.sampled_from([1.0, 0.6])),
        drafted_run_steps=draw(st.sampled_from([0.0, 1.5, 8.0])),
        drop_last_hit_block=draw(st.booleans()),
    )


@st.composite
def workloads(draw: st.DrawFn) -> Requests:
    """Bursts of up to 12 requests; most prompts begin with shared segments, some outputs continue them.

    Those of one time may be answers to one request, with an order of their own among equal priorities.
    """
    n = draw(st.integers(1, 12))

    def column(values: st.SearchStrategy[int]) -> Any:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    isl, osl = column(st.integers(1, 30)), column(st.integers(1, 12))
    first = np.minimum(column(st.integers(0, 24)), isl)
    gaps_s, again = column(st.sampled_from([0, 0, 0, 1, 30])), column(st.booleans())
    alone = np.arange(n) == 0
    alone |= (gaps_s > 0) | ~again
    second = np.minimum(column(st.sampled_from([0, 6, 99])), isl - first)
    return make_requests(
        np.cumsum(gaps_s).astype(float),
        isl,
        osl,
        priority=column(st.integers(0, 2)),
        session_id=np.cumsum(alone),
        output_continues=column(st.integers(0, 1)).astype(bool),
        segment_start=np.arange(0, 2 * n + 1, 2),
        segment_id=column(st.integers(0, 1)).repeat(2) * 10 + np.tile([0, 1], n),
        segment_tokens=np.stack([first, second], axis=1).ravel(),
    )


def step_time(config: EngineConfig) -> StepTime:
    """Two rows of token times and every term of the equation, for exactly the limits of `config`."""
    tokens = 0.5 + 0.01 * np.arange(config.max_num_batched_tokens + 1.0)
    seqs = 0.003 * np.arange(config.max_num_seqs + 1.0)
    return StepTime(
        np.stack([tokens, 0.8 * tokens]).astype(np.float64),
        seqs.astype(np.float64),
        1e-4,
        1e-3,
        False,
        "test",
        launches=Launches(0.62, 0.9, 16),
        least_step_s=0.57,
    )


def random_config(rng: np.random.Generator) -> EngineConfig:
    """A small engine with every feature on or off, tight enough in blocks to preempt now and then."""
    drafts = int(rng.choice([0, 0, 0, 1, 3]))
    size = int(rng.choice([1, 4, 16]))
    return EngineConfig(
        num_blocks=int(rng.integers(240, 700)) // size + 2,
        block_size=size,
        max_num_batched_tokens=int(rng.choice([24, 64, 256])),
        max_num_seqs=int(rng.choice([3, 8, 24])),
        max_model_len=180,
        enable_prefix_caching=bool(rng.random() < 0.6),
        enable_chunked_prefill=bool(rng.random() < 0.8),
        long_prefill_token_threshold=int(rng.choice([0, 0, 20])),
        policy=Policy(int(rng.integers(2))),
        reserve_full_isl=bool(rng.random() < 0.5),
        watermark=float(rng.choice([0.0, 0.05])),
        batching=Batching(int(rng.choice([0, 0, 0, 0, 1, 2]))),
        num_speculative_tokens=drafts,
        num_lookahead_tokens=drafts * int(rng.integers(2)),
        draft_slots=int(rng.integers(2)) if drafts else 0,
        draft_acceptance=float(rng.choice([0.0, 0.5, 1.0])),
        acceptance_std=(0.0, 0.25)[drafts % 2],
        drop_last_hit_block=bool(rng.random() < 0.3),
    )


def random_requests(rng: np.random.Generator, n: int, gap_s: float = 8.0) -> Requests:
    """Poisson arrivals; prompts begin with one of five shared prefixes, a quarter of the outputs is short."""
    isl = rng.integers(1, 100, n)
    return make_requests(
        np.cumsum(rng.exponential(gap_s, n)),
        isl,
        np.where(rng.random(n) < 0.25, 1 + rng.integers(0, 3, n), rng.integers(1, 90, n)),
        priority=rng.integers(0, 3, n),
        output_continues=rng.random(n) < 0.3,
        segment_start=np.arange(n + 1),
        segment_id=rng.integers(0, 5, n),
        segment_tokens=np.minimum(rng.integers(0, 80, n), isl),
    )


def random_sessions(rng: np.random.Generator, n_sessions: int, turns: int) -> Requests:
    """Conversations whose prompts repeat all turns before; the turns of session 0 follow without a pause."""
    n = n_sessions * turns
    opening = np.cumsum(rng.exponential(40.0, n_sessions))
    session = np.concatenate([np.arange(n_sessions), np.arange(n_sessions).repeat(turns - 1)])
    turn = np.concatenate([np.zeros(n_sessions, int), np.tile(np.arange(1, turns), n_sessions)])
    row_of = {(int(s), int(t)): row for row, (s, t) in enumerate(zip(session, turn, strict=True))}
    said, answered = rng.integers(1, 20, n), rng.integers(1, 20, n)
    isl, follows = np.zeros(n, int), np.full(n, -1)
    history = np.zeros(n, int)
    for (s, t), row in row_of.items():
        rows = [row_of[s, k] for k in range(t)]
        history[row] = said[rows].sum() + answered[rows].sum()
        isl[row] = history[row] + said[row]
        follows[row] = row_of.get((s, t + 1), -1)
    return make_requests(
        np.concatenate([opening, np.full(n - n_sessions, np.nan)]),
        isl,
        answered,
        session_id=session,
        next_turn=follows,
        think_s=np.where((turn == 0) | (session == 0), 0.0, rng.exponential(30.0, n)),
        output_continues=np.ones(n, bool),
        segment_start=np.arange(n + 1),
        segment_id=1000 + session,
        segment_tokens=isl,
    )


def without_drafts(config: EngineConfig) -> EngineConfig:
    return replace(config, num_speculative_tokens=0, num_lookahead_tokens=0, draft_slots=0)
