"""How long a request may be, by a Hugging Face configuration."""

from __future__ import annotations

from typing import Any

from simulator.catalog.shapes.reader import Config

_CONTEXT_KEYS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_target_positions"),
    *("max_sequence_length", "max_seq_length", "seq_len", "model_max_length"),
)
_OVERRIDES = "model_max_length"
"""Key that decides alone where it stands beside the others, as in Command R (`derive_max_model_len_and_key`)."""
_EXTENDED = "gemma3"
"""Beginning of the types whose context is already the one that their rotary scaling reaches."""
UNBOUNDED = ("mamba", "mamba2", "falcon_mamba", "bloom", "RefinedWeb", "RefinedWebModel")
"""Types whose configs have no longest context."""
UNBOUNDED_CONTEXT = 2048
"""What vLLM takes for it (`_get_and_verify_max_len`, vLLM 0.32.0)."""
_LONG = ("su", "longrope")
_UNSCALED = (*_LONG, "llama3", "mrope", "default", "proportional", "dynamic-yarn", "deepseek_llama_scaling")
_STRETCHED = ("linear", "dynamic", "ntk", "mllama4", "xdrope", "openpangu", "bailing_mrope")
_YARN = ("yarn", "deepseek_yarn")


def longest_context(config: Config, top: Config) -> int:
    """Longest context as vLLM derives it: the config's, times the factor of a rotary scaling that extends it."""
    found = [config.number(key) for key in _CONTEXT_KEYS if config.get(key)]
    found = found or [top.number(key) for key in _CONTEXT_KEYS if top.get(key)]
    if not found and config.model_type in UNBOUNDED:
        return UNBOUNDED_CONTEXT
    if not found:
        raise config.problem(_CONTEXT_KEYS[0], f"config.json of type {config.model_type!r} lacks it")
    longest = config.number(_OVERRIDES) if config.get(_OVERRIDES) else min(found)
    if config.model_type.startswith(_EXTENDED):
        return longest
    kind, scaling = _scaling(config)
    factor = scaling.get("factor")
    if kind in _UNSCALED or not factor:
        return longest
    if kind in _YARN:
        original = scaling.get("original_max_position_embeddings")
        return max(longest, int(original * factor)) if original else longest
    if kind not in _STRETCHED:
        key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
        known = ", ".join(sorted((*_UNSCALED, *_YARN, *_STRETCHED)))
        raise config.problem(f"{key}.rope_type", f"unknown kind of rotary scaling; known are {known}", kind)
    return int(longest * factor)


def original_context(config: Config) -> int | None:
    """Context before LongRoPE extended it, which vLLM serves unless it is told a length; None where nothing did."""
    return config.number("original_max_position_embeddings", 0) or None if _scaling(config)[0] in _LONG else None


def _scaling(config: Config) -> tuple[str, dict[str, Any]]:
    found = config.get("rope_scaling") or config.get("rope_parameters")
    found = found if isinstance(found, dict) else {}
    return str(found.get("rope_type") or found.get("type") or "default"), found
