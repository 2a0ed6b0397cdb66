"""Whether a checkpoint has layers that predict several tokens ahead, as vLLM's method `mtp` needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.errors import InputError, Problem

_LAYERS = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
"""Keys of `config.json` that count them."""
_WITHOUT_A_KEY = frozenset({"qwen3_next"})
"""Model types whose checkpoints have them although no key says so (`SpeculativeConfig.hf_config_override`, vLLM)."""


def mtp_modules(method: str | None, config: Mapping[str, Any]) -> int:
    """Layers of a checkpoint that draft one token each with `mtp`; 1 drafts all, and so does what no key counts.

    Source: `SpeculativeConfig.use_multi_module_mtp`, vLLM 0.32.0.
    """
    return int(config.get("text_config", config).get("num_nextn_predict_layers") or 1) if method == "mtp" else 1


def tokens_read_ahead(modules: int, drafts: int) -> int:
    """Tokens of a prompt that a drafter with hidden states reads ahead: several modules as many as they draft, else 1.

    Source: `Scheduler.num_prefill_lookahead`, vLLM 0.32.0.
    """
    return drafts if min(modules, drafts) > 1 else 1


def check_mtp(label: str, config: Mapping[str, Any]) -> None:
    """Refuse drafts by `mtp` for a model that cannot make them.

    Raises
    ------
    InputError : no layer of its checkpoint predicts further tokens
    """
    text = config.get("text_config", config)
    layers = next((text[key] for key in _LAYERS if text.get(key) is not None), None)
    if layers or (layers is None and text.get("model_type") in _WITHOUT_A_KEY):
        return
    raise InputError(
        Problem(
            f"{label} has no layers for multi-token prediction ({' or '.join(_LAYERS)} of its config.json): "
            "take eagle, draft_model or ngram",
            path="speculative_method",
            got="mtp",
        )
    )
