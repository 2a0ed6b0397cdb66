"""Speculative decoding of a scenario: who drafts, what the scheduler knows of it, and how many are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from simulator.catalog.precisions import layout
from simulator.engine.modes.drafts.methods import READS_HIDDEN_STATES, draft_slots, lookahead_slots
from simulator.engine.modes.spec import DraftOdds, Drafts
from simulator.engine.rules import RuleSet
from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture
from simulator.perf.speculative import Drafting, one_layer_draft
from simulator.resolve.checkpoint import architecture
from simulator.resolve.mtp import tokens_read_ahead
from simulator.scenario.drafts import of_class
from simulator.schema.engine import EngineSettings, SpeculativeConfig


def drafting_of(settings: EngineSettings, arch: Architecture, folder: Path) -> Drafting | None:
    """What drafts. vLLM wants a draft model to have the target's vocabulary and runs it with the target's TP."""
    spec = settings.speculative_config
    if spec is None:
        return None
    rows = _by_batch_size(spec, settings)
    if spec.method == "ngram":
        return Drafting(spec.num_speculative_tokens, by_batch_size=rows)
    if spec.model is None:
        return Drafting(spec.num_speculative_tokens, one_layer_draft(arch), by_batch_size=rows)
    draft, native = architecture(spec.model, folder)
    if draft.vocab_size != arch.vocab_size:
        raise InputError(
            Problem(
                f"a draft model must have the vocabulary of {arch.name} ({arch.vocab_size} tokens, not "
                f"{draft.vocab_size}): take one of its family",
                path="engine.speculative_config.model",
                got=spec.model,
            )
        )
    return Drafting(spec.num_speculative_tokens, draft, layout(native).weights, rows)


def drafts_of(settings: EngineSettings, rules: RuleSet, connected: bool, modules: int) -> Drafts | None:
    """With a connector hit blocks are given up in every version; with data parallelism drafts are always all.

    Raises
    ------
    InputError : several MTP modules beside a connector
    """
    spec = settings.speculative_config
    if spec is None:
        return None
    reads = spec.method in READS_HIDDEN_STATES
    ahead = tokens_read_ahead(modules, spec.num_speculative_tokens) if reads else 0
    if ahead > 1 and connected:
        problem = (
            "several MTP modules with prefill and decode apart, or with a store of KV caches, are not simulated: take"
            " 1 draft, or eagle"
        )
        raise InputError(Problem(problem, path="engine.speculative_config.num_speculative_tokens", got=f"{ahead}"))
    return Drafts(
        num_speculative_tokens=spec.num_speculative_tokens,
        num_lookahead_tokens=lookahead_slots(spec.method, spec.num_speculative_tokens),
        reads_hidden_states=reads,
        num_prefill_lookahead_tokens=ahead,
        num_hash_lookahead_tokens=ahead if not connected and not rules.drops_last_hit_block else 0,
        slots=draft_slots(spec.method, spec.num_speculative_tokens),
        by_batch_size=_by_batch_size(spec, settings),
    )


def odds_of(spec: SpeculativeConfig | None) -> DraftOdds:
    """How often drafts are made and accepted; none without any."""
    if spec is None:
        return DraftOdds()
    return DraftOdds(
        spec.acceptance or 0.0,
        chances_of(spec.acceptance_by_position),
        spec.acceptance_std,
        spec.drafted_share,
        spec.drafted_run_steps or 0.0,
    )


def odds_by_class(spec: SpeculativeConfig | None, classes: Sequence[str]) -> tuple[DraftOdds, ...]:
    """The same for each class; empty where they are alike."""
    if spec is None or not spec.by_class:
        return ()
    return tuple(odds_of(of_class(spec, spec.by_class.get(name))) for name in classes)


def chances_of(shares: Sequence[float]) -> tuple[float, ...]:
    """Chance of each draft given that all before it were accepted, from the shares that are accepted at each position.

    .. math:: \\alpha_i = s_i / s_{i-1}, \\quad s_0 = 1
    """
    return tuple(share / before if before else 0.0 for before, share in pairwise((1.0, *shares)))


def _by_batch_size(spec: SpeculativeConfig, settings: EngineSettings) -> tuple[tuple[int, int, int], ...]:
    """Rows without gaps: what is between two has the drafts of the first. None with data parallelism."""
    rows = spec.num_speculative_tokens_per_batch_size if settings.data_parallel_size == 1 else ()
    ends = [low - 1 for low, _, _ in rows[1:]] + [high for _, high, _ in rows[-1:]]
    return tuple(
        (low, end, min(drafts, spec.num_speculative_tokens)) for (low, _, drafts), end in zip(rows, ends, strict=True)
    )
