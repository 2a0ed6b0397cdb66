"""Speculative decoding: what drafts, and in which layout."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.perf.architecture import Architecture
from simulator.perf.device import Layout, Precision


@dataclass(frozen=True, slots=True)
class Drafting:
    """Drafts of `num_tokens` tokens, one after another, by `draft`; None is free (n-gram look-up).

    In each step the draft model computes every token that the target does (so it has the context of all requests), then
    one more token of each sequence `num_tokens - 1` times. Source: `SpecDecodeBaseProposer.propose`, vLLM 0.32.0.

    Attributes
    ----------
    weights : precision of the draft's weights; the target's if None, as for heads that belong to its checkpoint
    by_batch_size : drafts by the sequences of a step (from, to, drafts), without gaps from 1 on; empty: always all
    """

    num_tokens: int
    draft: Architecture | None = None
    weights: Precision | None = None
    by_batch_size: tuple[tuple[int, int, int], ...] = ()

    def drafts(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        """Drafts of each sequence in steps of so many; beyond the last row as many as there."""
        if not self.by_batch_size:
            return np.full(len(sequences), float(self.num_tokens))
        ends = np.array([end for _, end, _ in self.by_batch_size])
        row = np.minimum(np.searchsorted(ends, sequences), len(ends) - 1)
        found: NDArray[np.float64] = np.array([drafts for _, _, drafts in self.by_batch_size], np.float64)[row]
        return found

    def layout(self, target: Layout) -> Layout:
        """Of the draft: the target's tensor parallelism, on the last of its pipeline stages."""
        return replace(target, weights=self.weights or target.weights, split=replace(target.split, pp=1))


def one_layer_draft(arch: Architecture) -> Architecture:
    """Draft head in the manner of EAGLE: one dense layer over the target's vocabulary, as wide as the target's dense
    layers, or as the experts that a token passes through."""
    width = arch.intermediate_size or arch.moe_intermediate_size * (arch.experts_per_token + arch.shared_experts)
    return replace(
        arch,
        name=f"{arch.name} draft head",
        layers=1,
        dense_layers=1,
        intermediate_size=width,
        experts=0,
        experts_per_token=0,
        shared_experts=0,
        moe_intermediate_size=0,
        sliding_layers=0,
        bare_layers=0,
        idle_layers=0,
        state=None,
        tie_embeddings=True,
    )
