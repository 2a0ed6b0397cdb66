"""What the requests of a class bring for modes of an engine: patience, adapters, grammars, pictures, beginnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.rng import stream, stream_seed
from simulator.workload.each import drawn_each
from simulator.workload.lengths import length_sampler
from simulator.workload.requests import Requests, make_extras
from simulator.workload.salts import kept_apart
from simulator.workload.spec import Adapters, Brought, Images
from simulator.workload.stored import Beginnings

_NO_GRAMMAR = -1.0


@dataclass
class _Drawn:
    """Pictures drawn so far, which nobody else has."""

    pictures: int = 0


def bringer(brought: Brought, seed: int) -> Callable[[Requests], Requests]:
    """Function that gives the blocks of a class, from its first on, what their requests bring.

    Requests with different adapters share no content. Pictures stand one after another behind what the prompt shares,
    as many as fit into it.

    Parameters
    ----------
    seed : of the class
    """
    generators = {name: stream(seed, name) for name in ("leaves", "adapters", "structured outputs", "images")}
    adapters = None if brought.adapters is None else _cumulative(brought.adapters)
    drawn, store = _Drawn(), Beginnings()

    def bring(block: Requests) -> Requests:
        if brought == Brought():
            return block
        columns: dict[str, NDArray[Any]] = {} if block.extras is None else {"acceptance": block.extras.acceptance}
        if brought.leaves is not None:
            columns["leaves_s"] = _leaves_s(
                brought.leaves.share, brought.leaves.after_s, generators["leaves"], len(block)
            )
        if adapters is not None:
            uniform = drawn_each(block, generators["adapters"], stream_seed(seed, "adapter of session"))
            adapter = np.searchsorted(adapters, uniform, side="right")
            columns["adapter"] = np.where(adapter < len(adapters), adapter + 1, 0)
            block = kept_apart(block, columns["adapter"].astype(np.int64), len(adapters) + 1)
        if brought.structured_outputs is not None:
            has = generators["structured outputs"].random(len(block)) < brought.structured_outputs.share
            columns["grammar_s"] = np.where(has, brought.structured_outputs.compile_s, _NO_GRAMMAR)
        if brought.images is not None:
            columns |= _pictures(brought.images, generators["images"], block, drawn)
        if brought.stored:
            columns |= {"stored_tokens": store.found(block), "stored_apart": np.ones(len(block), np.bool_)}
        return replace(block, extras=make_extras(len(block), **columns))

    return bring


def _cumulative(adapters: Adapters) -> NDArray[np.float64]:
    """Cumulative shares of the adapters; the last is the share of requests that have one."""
    weights = np.arange(1, adapters.number + 1, dtype=np.float64) ** -adapters.zipf
    shares: NDArray[np.float64] = adapters.share * np.cumsum(weights) / weights.sum()
    return shares


def _leaves_s(share: float, after_s: float, generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    goes = generator.random(n) < share
    patience_s = np.maximum(after_s * generator.standard_exponential(n), np.finfo(np.float64).tiny)
    return np.where(goes, patience_s, 0.0)


def _pictures(
    images: Images, generator: np.random.Generator, block: Requests, drawn: _Drawn
) -> dict[str, NDArray[Any]]:
    n = len(block)
    number = np.where(generator.random(n) < images.share, images.number, 0)
    row = np.repeat(np.arange(n), number)
    tokens = length_sampler(images.tokens)(generator, len(row)).astype(np.int64)
    listed = np.concatenate([[0], np.cumsum(block.segment_tokens, dtype=np.int64)])[block.segment_start]
    behind = np.concatenate([[0], np.cumsum(tokens)])
    first = np.concatenate([[0], np.cumsum(number)])[:-1]
    offset = np.diff(listed)[row] + behind[:-1] - behind[first][row]
    fits = offset + tokens <= block.isl[row]
    content = (
        drawn.pictures + np.arange(len(row))
        if images.distinct is None
        else generator.integers(images.distinct, size=len(row))
    )
    drawn.pictures += len(row)
    return {
        "picture_start": np.concatenate([[0], np.cumsum(np.bincount(row[fits], minlength=n))]),
        "picture_offset": offset[fits],
        "picture_tokens": tokens[fits],
        "picture_content": content[fits],
    }
