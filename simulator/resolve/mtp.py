"""Layers of a checkpoint that predict several tokens ahead, as vLLM's method `mtp` needs them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from simulator.catalog.quantity import read_yaml
from simulator.errors import InputError, Problem


@lru_cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml("mtp.yaml")
    return found


def _rule(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """How vLLM counts the layers of such a model, by its type, or by that of its text model."""
    data, text = _data(), config.get("text_config", {})
    types = (config.get("model_type"), text.get("model_type"))
    found: Mapping[str, Any] = next(
        (data["model_types"][each] for each in types if each in data["model_types"]), data["usual"]
    )
    return found


def _at(config: Mapping[str, Any], path: str) -> int | None:
    found: Any = config
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return None if found is None else int(found)


def _counted(config: Mapping[str, Any]) -> int | None:
    """Layers that its keys count, at the top before the text model; None where no key is there."""
    rule, text = _rule(config), config.get("text_config", {})
    counts = (_at(part, key) for key in rule["keys"] for part in (config, text))
    return next((count for count in counts if count is not None), rule.get("unless_given"))


def mtp_layers(method: str | None, config: Mapping[str, Any]) -> int:
    """Layers that are loaded to draft with `mtp`, at least 1: more drafts than layers must be a multiple of them."""
    return max(_counted(config) or 1, 1) if method == "mtp" else 1


def mtp_modules(method: str | None, config: Mapping[str, Any]) -> int:
    """Layers that draft one token each in turn; 1 drafts all, as do those that only other keys count.

    Source: `SpeculativeConfig.use_multi_module_mtp`, vLLM 0.32.0, which looks at the drafter's config alone.
    """
    if method != "mtp":
        return 1
    rule = _rule(config)
    own = config.get("text_config", config) if rule.get("in_text") else config
    return max(_at(own, rule.get("in_turn", _data()["in_turn"])) or 1, 1)


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
    if _counted(config):
        return
    keys = " or ".join(_rule(config)["keys"])
    raise InputError(
        Problem(
            f"{label} has no layers for multi-token prediction ({keys} of its config.json): "
            "take eagle, draft_model or ngram",
            path="speculative_method",
            got="mtp",
        )
    )
