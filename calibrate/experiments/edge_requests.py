"""Random requests at the limits of their engine: whole blocks, one token, more than a step, to the last position."""

from __future__ import annotations

from typing import Any

import numpy as np

_BRANCHES, _DEPTH = 2, 4
_PRIVATE_SEGMENTS = 10_000
_MOST_OUTPUT = 150
Row = dict[str, Any]


def edge_rows(draw: np.random.Generator, by_priority: bool, engine: Row, capacity: int) -> list[Row]:
    """Requests that come at once or far apart; beginnings are chains of segments that end at or beside block ends."""
    size = engine["block_size"]
    gap = float(draw.choice([0.0, 0.1, 0.5, 2.0, 6.0]))
    mean_osl = float(draw.choice([1.5, 4, 12, 40]))
    chain = [max(1, size * int(draw.integers(1, 4)) + int(draw.choice([0, 0, 0, 1, -1]))) for _ in range(_DEPTH)]
    rows: list[Row] = []
    arrival = 0
    for number in range(int(draw.integers(8, 45))):
        arrival += int(draw.poisson(gap))
        prompt = _prompt(draw, number, engine, chain)
        while len(prompt) > 1 and _tokens(prompt) > capacity - 1:
            prompt.pop()
        prompt[-1][1] = max(1, min(prompt[-1][1], capacity - 1 - _tokens(prompt[:-1])))
        most = max(1, min(capacity - _tokens(prompt), _MOST_OUTPUT))
        kind = draw.random()
        osl = 1 if kind < 0.2 else most if kind < 0.35 else min(int(draw.geometric(1 / mean_osl)), most)
        priority = int(draw.integers(0, 3)) if by_priority else 0
        rows.append({"id": number, "arrival_step": arrival, "prompt": prompt, "osl": osl, "priority": priority})
    return rows


def _prompt(draw: np.random.Generator, number: int, engine: Row, chain: list[int]) -> list[list[int]]:
    """A part of a chain, a private rest, or both; half of those of whole blocks are whole with what comes before."""
    size, inputs = engine["block_size"], engine["max_num_batched_tokens"]
    prompt: list[list[int]] = []
    if draw.random() < 0.55:
        branch, depth = int(draw.integers(_BRANCHES)), int(draw.integers(1, _DEPTH))
        prompt = [[1 + 10 * branch + place, chain[place]] for place in range(depth)]
    if prompt and draw.random() < 0.4:
        return prompt
    whole = size * int(draw.integers(1, 6))
    lengths = (1, size, whole, whole + 1, whole - 1, inputs + int(draw.integers(-1, 3)), 1 + int(draw.geometric(0.02)))
    length = lengths[int(draw.integers(len(lengths)))]
    if draw.random() < 0.5:
        length -= (length + _tokens(prompt)) % size
    return [*prompt, [_PRIVATE_SEGMENTS + number, max(1, length)]]


def _tokens(prompt: list[list[int]]) -> int:
    return sum(tokens for _, tokens in prompt)
