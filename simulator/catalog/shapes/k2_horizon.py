"""K2 Horizon: attention with a gate and norms as its config says, and no windows (`k2_horizon.py`, vLLM 0.30.0)."""

from __future__ import annotations

from dataclasses import replace

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_attention, add_norms, head_width, kv_head_count
from simulator.catalog.shapes.families import feed_forward
from simulator.catalog.shapes.reader import Config

GATES = ("silu", "softplus")
"""Functions of the gate over attention's output."""


def k2_horizon(config: Config, family: Family, built: Built) -> None:
    """Layers of attention over all tokens, each with an MLP or experts.

    Raises
    ------
    InputError : a gate that the engine does not know, or more of a head turned than it has
    """
    gate = config.get("attention_gate_func")
    if gate is not None and gate not in GATES:
        raise config.problem("attention_gate_func", f"unknown gate; known are {', '.join(GATES)}", str(gate)[:60])
    if config.first("rope_head_dim", default=0) > head_width(config):
        told = f"must be at most the {head_width(config)} of a head"
        raise config.problem("rope_head_dim", told, str(config["rope_head_dim"]))
    config.get("sliding_window")
    family = replace(family, gated_attention=gate is not None)
    heads = config.number("num_attention_heads") + kv_head_count(config)
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        add_attention(config, family, built, layer, "full")
        if config.get("query_key_norm"):
            built.matrices.append(parts.norm(f"model.layers.{layer}.self_attn.qk_norm", heads * head_width(config)))
        feed_forward(config, family, built, layer)
