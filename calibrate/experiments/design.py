"""Design of experiments: which steps to make the engine take, within its KV budget.

A point is a list of phases that the engine goes through from empty to empty; every step on the way is recorded.

* `prefill`: one prompt is computed in chunks of a given size at several depths of context; between them it jumps ahead
  in chunks of the full budget, which are measurements too. Short prompts side by side fill one step.
* `decode`: a batch decodes at one context; its size falls from the largest that fits through sizes on and just above
  those that CUDA graphs are captured for. At each size a prompt joins, so that there are mixed steps, and decode steps
  right behind a prefill as well as some way behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from simulator.rng import stream

_KV_SHARE = 0.9
"""Share of the KV cache that a point may fill: preemption would change its batch."""
_LEAST_CHUNK = 8
_MOST_LEVELS = 14
_DEPTHS = (0.0, 0.1, 0.35, 0.9)
_CHUNK_STEPS = 2
_LEAST_DWELL, _MOST_DWELL = 3, 16
"""Decode steps at one batch: the first ones find cold caches, and serving has more of the later ones."""
_CONTEXT_STEP = 4
_LEAST_CONTEXT = 16
_LEAST_STEPS_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine can hold.

    Attributes
    ----------
    step_tokens, sequences : `max_num_batched_tokens`, `max_num_seqs`
    sequence_tokens : `max_model_len`
    kv_tokens : tokens that the KV cache holds
    block_tokens : tokens of a KV block
    capture_sizes : batch sizes that CUDA graphs are captured for
    chunked : whether a prompt may be computed over several steps
    """

    step_tokens: int
    sequences: int
    sequence_tokens: int
    kv_tokens: int
    block_tokens: int
    capture_sizes: tuple[int, ...] = ()
    chunked: bool = True

    @property
    def longest_tokens(self) -> int:
        """Longest sequence that a point may use."""
        return max(2, min(self.sequence_tokens, int(_KV_SHARE * self.kv_tokens)) - 2)

    @property
    def dwell_steps(self) -> int:
        """Decode steps after each change of the batch; all of them leave most of a sequence to other contexts."""
        return max(_LEAST_DWELL, min(_MOST_DWELL, self.longest_tokens // (8 * _MOST_LEVELS)))

    @property
    def fall_steps(self) -> int:
        """Most steps, and so tokens of each sequence, of the way down the batch sizes."""
        return _MOST_LEVELS * (2 * self.dwell_steps + 2)


def limits_from(config: Mapping[str, Any], capture_sizes: Sequence[int]) -> Limits:
    """Limits from vLLM's resolved configuration, as a schedule recording names it."""
    kv_tokens = (config["num_gpu_blocks"] - 1) * config["block_size"]
    return Limits(
        config["max_num_batched_tokens"],
        config["max_num_seqs"],
        config["max_model_len"],
        kv_tokens,
        config["block_size"],
        tuple(sorted(capture_sizes)),
        config["enable_chunked_prefill"],
    )


@dataclass(frozen=True, slots=True)
class Phase:
    """What changes, and how long the engine then runs.

    Attributes
    ----------
    add : (ISL, OSL) of requests that join
    drop : running requests that leave first, the last ones
    budget : most tokens of a step; None for the engine's own
    steps : steps to run; None to run until all requests decode
    """

    add: tuple[tuple[int, int], ...] = ()
    drop: int = 0
    budget: int | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment.

    Attributes
    ----------
    name : unique in the design
    kind : prefill or decode
    tokens : tokens it computes, nearly all as prefill
    kv_tokens, step_tokens : most that it holds, and most in one of its steps
    """

    name: str
    kind: str
    phases: tuple[Phase, ...]
    tokens: int
    kv_tokens: int
    step_tokens: int

    @property
    def steps(self) -> int:
        """Steps it asks for by number."""
        return sum(phase.steps or 0 for phase in self.phases)

    def seconds(self, tokens_per_s: float, step_s: float) -> float:
        """About how long it takes."""
        return self.tokens / tokens_per_s + self.steps * step_s

    def command(self) -> list[dict[str, Any]]:
        """Phases as the driver reads them."""
        return [asdict(phase) for phase in self.phases]


def design(limits: Limits, most_tokens: int | None = None) -> list[Point]:
    """All points, smallest first.

    Parameters
    ----------
    most_tokens : most tokens that one point computes as prefill before it decodes; bounds its time
    """
    most = limits.kv_tokens if most_tokens is None else most_tokens
    points = [*_chunk_points(limits, most), *_side_by_side_points(limits), *_decode_points(limits, most)]
    return sorted(points, key=lambda point: (point.tokens, point.name))


def design_within(limits: Limits, time_s: float, tokens_per_s: float, step_s: float) -> tuple[list[Point], int]:
    """The design that takes about `time_s` for one repeat, and the most tokens of its points.

    Parameters
    ----------
    tokens_per_s, step_s : measured prefill rate, and time of a small step
    """
    most_tokens = limits.kv_tokens
    while True:
        points = design(limits, most_tokens)
        needed_s = sum(point.seconds(tokens_per_s, step_s) for point in points)
        if needed_s <= time_s or most_tokens <= _LEAST_STEPS_TOKENS * limits.step_tokens:
            return points, most_tokens
        most_tokens = most_tokens * 3 // 4


def order(points: Sequence[Point], repeat: int, seed: int) -> list[Point]:
    """The points of one repeat, in random order."""
    return [points[k] for k in stream(seed, "order", repeat).permutation(len(points))]


def _chunk_sizes(limits: Limits) -> list[int]:
    """Powers of two and numbers half-way between, up to the step's budget."""
    most = min(limits.step_tokens, limits.longest_tokens)
    powers = 2 ** np.arange(3, 25)
    sizes = {int(size) for size in [*powers, *(powers * 3 // 2)] if _LEAST_CHUNK <= size < most}
    return sorted(sizes | {most})


def _chunk_points(limits: Limits, most_tokens: int) -> Iterable[Point]:
    isl = min(limits.longest_tokens, most_tokens)
    for chunk in _chunk_sizes(limits):
        if not limits.chunked:
            whole = Phase(add=((chunk, 2),), steps=1)
            yield Point(f"prefill-{chunk}", "prefill", (whole,), chunk, chunk, chunk)
            continue
        first, *rest = _dive(limits.step_tokens, chunk, isl)
        phases = (Phase(add=((isl, 2),), budget=first.budget, steps=first.steps), *rest)
        yield Point(f"prefill-{chunk}", "prefill", phases, isl, isl, limits.step_tokens)


def _dive(step_tokens: int, chunk: int, isl: int) -> Iterable[Phase]:
    """Chunks at each depth of a prompt, and jumps of full steps between them."""
    computed = 0
    for depth in _DEPTHS:
        jumps = (int(depth * isl) - computed) // step_tokens
        if jumps > 0:
            yield Phase(budget=step_tokens, steps=jumps)
            computed += jumps * step_tokens
        if depth and jumps <= 0:
            continue
        steps = min(_CHUNK_STEPS, (isl - computed) // chunk)
        if steps:
            yield Phase(budget=chunk, steps=steps)
            computed += steps * chunk


def _side_by_side_points(limits: Limits) -> Iterable[Point]:
    """Equal short prompts that share a step."""
    for sequences in _levels(min(limits.sequences, limits.step_tokens // _LEAST_CHUNK), limits.capture_sizes)[1:]:
        most = limits.longest_tokens // sequences
        for isl in sorted({min(int(share * limits.step_tokens) // sequences, most) for share in (0.25, 1.0)}):
            if isl >= _LEAST_CHUNK:
                tokens = sequences * isl
                phase = Phase(add=((isl, 2),) * sequences, steps=1)
                yield Point(f"side-by-side-{sequences}x{isl}", "prefill", (phase,), tokens, tokens, tokens)


def _levels(most: int, capture_sizes: Sequence[int]) -> list[int]:
    """Batch sizes up to `most`, thinned out: on and just above capture sizes, or powers of two and half-way numbers."""
    if most < 1:
        return []
    if capture_sizes:
        sizes = {size for captured in capture_sizes for size in (captured, captured + 1)} | {1}
    else:
        powers = 2 ** np.arange(0, 16)
        sizes = {int(size) for size in [*powers, *(powers * 3 // 2)]}
    found = sorted({size for size in sizes if size <= most} | {1, most})
    if len(found) > _MOST_LEVELS:
        kept = np.geomspace(1, len(found), _MOST_LEVELS).round().astype(int) - 1
        found = [found[k] for k in sorted({*kept.tolist(), 0, len(found) - 1})]
    return found


def _decode_points(limits: Limits, most_tokens: int) -> Iterable[Point]:
    joining = _chunk_sizes(limits)
    room = int(_KV_SHARE * limits.kv_tokens) - limits.step_tokens
    for index, context in enumerate(_contexts(limits)):
        isl = max(1, context - 1)
        rows = context + limits.fall_steps + limits.block_tokens
        sequences = min(limits.sequences, limits.step_tokens, room // rows, most_tokens // isl)
        levels = _levels(sequences, limits.capture_sizes)
        if not levels:
            continue
        fall = list(_fall(limits, levels, joining, index))
        begin = Phase(add=((isl, limits.sequence_tokens - isl),) * levels[-1])
        tokens = levels[-1] * isl + sum(prompt for phase in fall for prompt, _ in phase.add)
        kv_tokens = levels[-1] * rows + limits.step_tokens
        name = f"decode-{levels[-1]}x{context}"
        yield Point(name, "decode", (begin, *fall), tokens, kv_tokens, limits.step_tokens)


def _contexts(limits: Limits) -> list[int]:
    longest = limits.longest_tokens - limits.fall_steps
    contexts = []
    context = _LEAST_CONTEXT
    while context < longest:
        contexts.append(context)
        context *= _CONTEXT_STEP
    if longest > _LEAST_CONTEXT:
        contexts.append(longest)
    return contexts


def _fall(limits: Limits, levels: Sequence[int], joining: Sequence[int], shift: int) -> Iterable[Phase]:
    """Down the batch sizes; at each one decode steps, then a prompt that joins, and decode steps behind it."""
    sizes = list(reversed(levels))
    for k, (before, size) in enumerate(pairwise([sizes[0], *sizes])):
        prompt = min(joining[(5 * k + 3 * shift) % len(joining)], limits.step_tokens - size)
        yield Phase(steps=limits.dwell_steps, drop=before - size)
        if prompt > 0 and size < limits.sequences:
            yield Phase(add=((prompt, 1),), steps=1 + limits.dwell_steps)
