"""How long a request may be, by a Hugging Face configuration."""

from __future__ import annotations

from typing import Any

from simulator.catalog.shapes.reader import Config

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "model_max_length")
UNBOUNDED = ("mamba", "mamba2", "falcon_mamba", "bloom")
"""Types whose configs have no longest context."""
UNBOUNDED_CONTEXT = 2048
"""What vLLM takes for it (`_get_and_verify_max_len`, vLLM 0.32.0)."""
_LONG = ("su", "longrope")
_UNSCALED = (*_LONG, "llama3", "mrope", "default", "proportional", "dynamic-yarn")


def longest_context(config: Config, top: Config) -> int:
    """Longest context as vLLM derives it: the config's, times the factor of a rotary scaling that extends it."""
    found = [config.number(key) for key in _CONTEXT_KEYS if config.get(key)]
    found = found or [top.number(key) for key in _CONTEXT_KEYS if top.get(key)]
    if not found and config.model_type in UNBOUNDED:
        return UNBOUNDED_CONTEXT
    if not found:
        raise config.problem(_CONTEXT_KEYS[0], f"config.json of type {config.model_type!r} lacks it")
    longest = min(found)
    kind, scaling = _scaling(config)
    factor = scaling.get("factor")
    if kind in _UNSCALED or not factor:
        return longest
    if kind in ("yarn", "deepseek_yarn"):
        original = scaling.get("original_max_position_embeddings")
        return max(longest, int(original * factor)) if original else longest
    return int(longest * factor)


def original_context(config: Config) -> int | None:
    """Context before LongRoPE extended it, which vLLM serves unless it is told a length; None where nothing did."""
    return config.number("original_max_position_embeddings", 0) or None if _scaling(config)[0] in _LONG else None


def _scaling(config: Config) -> tuple[str, dict[str, Any]]:
    found = config.get("rope_scaling") or config.get("rope_parameters")
    found = found if isinstance(found, dict) else {}
    return str(found.get("rope_type") or found.get("type") or "default"), found
