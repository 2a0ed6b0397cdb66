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
_DECODE_STEPS = 3
_CONTEXT_STEP = 4
_LEAST_CONTEXT = 16
_ENDLESS = 1_000_000


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
    """

    step_tokens: int
    sequences: int
    sequence_tokens: int
    kv_tokens: int
    block_tokens: int
    capture_sizes: tuple[int, ...] = ()

    @property
    def longest_tokens(self) -> int:
        """Longest sequence that a point may use."""
        return max(2, min(self.sequence_tokens, int(_KV_SHARE * self.kv_tokens)) - 2)


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

    def command(self) -> list[dict[str, Any]]:
        """Phases as the driver reads them."""
        return [asdict(phase) for phase in self.phases]


def design(limits: Limits, most_tokens: int | None = None) -> list[Point]:
    """All points, smallest first.

    Parameters
    ----------
    most_tokens : most tokens of a decoding batch's context; bounds the time that its prefill takes
    """
    points = [*_chunk_points(limits), *_side_by_side_points(limits), *_decode_points(limits, most_tokens)]
    return sorted(points, key=lambda point: (point.tokens, point.name))


def order(points: Sequence[Point], repeat: int, seed: int) -> list[Point]:
    """The points of one repeat, in random order."""
    return [points[k] for k in stream(seed, "order", repeat).permutation(len(points))]


def _chunk_sizes(limits: Limits) -> list[int]:
    """Powers of two and numbers half-way between, up to the step's budget."""
    most = min(limits.step_tokens, limits.longest_tokens)
    powers = 2 ** np.arange(3, 25)
    sizes = {int(size) for size in [*powers, *(powers * 3 // 2)] if _LEAST_CHUNK <= size < most}
    return sorted(sizes | {most})


def _chunk_points(limits: Limits) -> Iterable[Point]:
    for chunk in _chunk_sizes(limits):
        phases = list(_dive(limits, chunk))
        isl = limits.longest_tokens
        first = Phase(add=((isl, 2),), budget=phases[0].budget, steps=phases[0].steps)
        yield Point(f"prefill-{chunk}", "prefill", (first, *phases[1:]), isl, isl, limits.step_tokens)


def _dive(limits: Limits, chunk: int) -> Iterable[Phase]:
    """Chunks at each depth, and jumps of full steps between them, within the longest sequence."""
    computed = 0
    for depth in _DEPTHS:
        wanted = int(depth * limits.longest_tokens)
        jumps = (wanted - computed) // limits.step_tokens
        if jumps > 0:
            yield Phase(budget=limits.step_tokens, steps=jumps)
            computed += jumps * limits.step_tokens
        if depth and jumps <= 0:
            continue
        steps = min(_CHUNK_STEPS, (limits.longest_tokens - computed) // chunk)
        if steps:
            yield Phase(budget=chunk, steps=steps)
            computed += steps * chunk


def _side_by_side_points(limits: Limits) -> Iterable[Point]:
    """Equal short prompts that share a step."""
    for sequences in _levels(min(limits.sequences, limits.step_tokens // _LEAST_CHUNK), limits.capture_sizes)[1:]:
        for share in (0.25, 1.0):
            isl = min(int(share * limits.step_tokens) // sequences, limits.longest_tokens // sequences)
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


def _decode_points(limits: Limits, most_tokens: int | None) -> Iterable[Point]:
    joining = _chunk_sizes(limits)
    for index, context in enumerate(_contexts(limits)):
        room = int(_KV_SHARE * limits.kv_tokens) - 2 * limits.step_tokens
        if most_tokens is not None:
            room = min(room, most_tokens)
        rows = context + _steps_of_decode_point() + limits.block_tokens
        sequences = min(limits.sequences - 1, limits.step_tokens - 1, room // rows)
        levels = _levels(sequences, limits.capture_sizes)
        if not levels:
            continue
        isl = max(1, context - 1)
        phases = list(_fall(limits, levels, joining, index))
        phases.insert(0, Phase(add=((isl, _osl(limits, isl)),) * levels[-1]))
        added = sum(isl for phase in phases[1:] for isl, _ in phase.add)
        tokens = levels[-1] * isl + added
        kv_tokens = levels[-1] * rows + limits.step_tokens
        yield Point(f"decode-{levels[-1]}x{context}", "decode", tuple(phases), tokens, kv_tokens, limits.step_tokens)


def _osl(limits: Limits, isl: int) -> int:
    return min(_ENDLESS, limits.sequence_tokens - isl)


def _steps_of_decode_point() -> int:
    return _MOST_LEVELS * (2 * _DECODE_STEPS + 2)


def _contexts(limits: Limits) -> list[int]:
    longest = limits.longest_tokens - _steps_of_decode_point()
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
    for k, (size, after) in enumerate(pairwise([*sizes, 0])):
        prompt = min(joining[(5 * k + 3 * shift) % len(joining)], limits.step_tokens - size)
        yield Phase(steps=_DECODE_STEPS, drop=0 if k == 0 else sizes[k - 1] - size)
        if prompt > 0 and after >= 0:
            yield Phase(add=((prompt, 1),), steps=1 + _DECODE_STEPS)
