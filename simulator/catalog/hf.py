"""Hugging Face `config.json` → architecture, for the families that vLLM serves most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.catalog.quantity import Quantity, read_yaml
from simulator.catalog.shapes.config import read_config, text_section
from simulator.catalog.shapes.reader import Config
from simulator.errors import InputError, Problem
from simulator.perf.architecture import Architecture

REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")
EXPERT_COUNT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts")
EXPERTS_PER_TOKEN_KEYS = ("num_experts_per_tok", "experts_per_token", "top_k_experts")
SHARED_EXPERT_KEYS = ("n_shared_experts",)
ALTERNATING = ("gpt_oss", "gemma2")
WITH_SINKS = ("gpt_oss",)
"""Model types whose attention has sinks; their config.json does not say so."""
MLA_KEYS = ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")


def load_hf_config(path: str | Path) -> Architecture:
    """Architecture from a `config.json`, or from the model folder that holds it.

    Raises
    ------
    InputError : no such file, no JSON object in it, or keys missing that the memory and step-time models need
    """
    name, values, file = read_config(path)
    return architecture_from_config(name, values, file)


def architecture_from_config(name: str, config: Mapping[str, Any], file: str | None = None) -> Architecture:
    """Architecture from the keys of a `config.json`, or of its section for text.

    Raises
    ------
    InputError : naming every key that is missing
    """
    config = dict(text_section(Config(config, file)))
    _refuse_missing(config, file)
    heads = config["num_attention_heads"]
    layers = config["num_hidden_layers"]
    experts = _first(config, EXPERT_COUNT_KEYS)
    latent = config.get("kv_lora_rank") or 0
    window = config.get("sliding_window") or 0
    return Architecture(
        name=name,
        layers=layers,
        hidden_size=config["hidden_size"],
        vocab_size=config["vocab_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        intermediate_size=config.get("intermediate_size") or 0,
        max_position_embeddings=config["max_position_embeddings"],
        tie_embeddings=bool(config.get("tie_word_embeddings", _is_gemma(config))),
        experts=experts,
        experts_per_token=_first(config, EXPERTS_PER_TOKEN_KEYS) if experts else 0,
        shared_experts=_shared_experts(config),
        moe_intermediate_size=(config.get("moe_intermediate_size") or config["intermediate_size"]) if experts else 0,
        dense_layers=_dense_layers(config, layers) if experts else layers,
        popularity_ratio=popularity_ratio() if experts else 1.0,
        kv_lora_rank=latent,
        q_lora_rank=(config.get("q_lora_rank") or 0) if latent else 0,
        qk_rope_head_dim=config["qk_rope_head_dim"] if latent else 0,
        qk_nope_head_dim=config["qk_nope_head_dim"] if latent else 0,
        v_head_dim=config["v_head_dim"] if latent else 0,
        sliding_window=window if config.get("use_sliding_window", True) else 0,
        sliding_layers=_sliding_layers(config, layers) if window else 0,
        attention_sinks=config.get("model_type") in WITH_SINKS,
    )


def popularity_ratio() -> float:
    """Tokens of a layer's most popular expert over those of its least, in any mixture of experts."""
    return Quantity(**read_yaml("routing.yaml")["popularity_ratio"]).value


def _refuse_missing(config: Mapping[str, Any], file: str | None) -> None:
    missing = [key for key in REQUIRED if key not in config]
    if "intermediate_size" not in config and "moe_intermediate_size" not in config:
        missing.append("intermediate_size")
    if _first(config, EXPERT_COUNT_KEYS) and not _first(config, EXPERTS_PER_TOKEN_KEYS):
        missing.append("num_experts_per_tok")
    if config.get("kv_lora_rank"):
        missing += [key for key in MLA_KEYS if key not in config]
    if missing:
        kind = config.get("model_type", "of unknown type")
        raise InputError(Problem(f"config.json ({kind}) lacks {', '.join(missing)}", file=file))


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    return next((int(config[key]) for key in keys if config.get(key)), 0)


def _shared_experts(config: Mapping[str, Any]) -> int:
    """Shared experts; Gemma 4 has a dense MLP beside the experts of each layer, counted in widths of one."""
    if config.get("enable_moe_block"):
        return int(config["intermediate_size"]) // int(config["moe_intermediate_size"])
    return _first(config, SHARED_EXPERT_KEYS)


def _dense_layers(config: Mapping[str, Any], layers: int) -> int:
    """Layers without experts: the first few (DeepSeek), those listed, or all but every n-th (`decoder_sparse_step`)."""
    first = int(config.get("first_k_dense_replace") or 0)
    step = int(config.get("decoder_sparse_step") or 1)
    listed = set(config.get("mlp_only_layers") or ())
    return sum(layer < first or layer in listed or (layer + 1) % step != 0 for layer in range(layers))


def _is_gemma(config: Mapping[str, Any]) -> bool:
    """Gemma's config.json leaves out `tie_word_embeddings`, which is true for it."""
    return str(config.get("model_type", "")).startswith("gemma")


def _sliding_layers(config: Mapping[str, Any], layers: int) -> int:
    """Layers with a window: those listed in `layer_types`, all but every n-th (`sliding_window_pattern` of Gemma 3),
    every other one of gpt-oss and Gemma 2, else all (early Mistral)."""
    if not config.get("use_sliding_window", True):
        return 0
    if "layer_types" in config:
        return sum(kind == "sliding_attention" for kind in config["layer_types"])
    pattern = int(config.get("sliding_window_pattern") or 0)
    if pattern:
        return layers - layers // pattern
    return layers // 2 if config.get("model_type") in ALTERNATING else layers
