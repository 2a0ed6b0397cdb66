"""Shared prefixes by group: system prompts, templates and documents that many prompts begin with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workload.lengths import length_sampler
from simulator.workload.spec import Prefixes


@dataclass(frozen=True, slots=True)
class PrefixGroups:
    """Groups of shared texts, ready to draw from.

    Attributes
    ----------
    tokens : int32 (groups,), length of each text
    cumulative : float64 (groups,), cumulative probability that a prompt begins with it; the last is `share`
    """

    tokens: NDArray[np.int32]
    cumulative: NDArray[np.float64]


def prefix_groups(spec: Prefixes, generator: np.random.Generator) -> PrefixGroups:
    """Draw the texts' lengths; group k (from 1) gets the weight k^−zipf / Σ j^−zipf."""
    weights = np.arange(1, spec.groups + 1, dtype=np.float64) ** -spec.zipf
    cumulative = np.cumsum(weights)
    tokens = length_sampler(spec.tokens)(generator, spec.groups)
    return PrefixGroups(tokens, spec.share * cumulative / cumulative[-1])


def draw_prefixes(
    groups: PrefixGroups, generator: np.random.Generator, isl: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Segments (start, id, tokens) of the prompts; ids are group numbers, tokens at most `isl`."""
    uniform = generator.random(len(isl))
    has_prefix = uniform < groups.cumulative[-1]
    segment_id = np.searchsorted(groups.cumulative, uniform[has_prefix], side="right")
    segment_start = np.concatenate([[0], np.cumsum(has_prefix)]).astype(np.int64)
    return segment_start, segment_id.astype(np.int64), np.minimum(groups.tokens[segment_id], isl[has_prefix])
