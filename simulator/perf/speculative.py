"""Speculative decoding: what drafts, in which layout, and how many tokens a step yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul

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
    """

    num_tokens: int
    draft: Architecture | None = None
    weights: Precision | None = None

    def layout(self, target: Layout) -> Layout:
        """Of the draft: the target's tensor parallelism, on the last of its pipeline stages."""
        return replace(target, weights=self.weights or target.weights, split=replace(target.split, pp=1))


def expected_tokens_per_step(chances: Sequence[float]) -> float:
    """Mean tokens a sequence gets per step: the accepted drafts and the one the target model adds.

    .. math:: 1 + \\sum_{i=1}^{k} \\prod_{j=1}^{i} \\alpha_j = \\frac{1 - \\alpha^{k + 1}}{1 - \\alpha}

    where all are equal. Source: Leviathan et al., Fast inference from transformers via speculative decoding (2023),
    equation 1.

    Parameters
    ----------
    chances : that each draft of a step is accepted, given that all before it were
    """
    return float(1.0 + sum(accumulate(chances, mul)))


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
