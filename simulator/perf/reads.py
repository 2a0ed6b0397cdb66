"""Bytes that a step reads of weights and KV cache, for the step-time models."""

from __future__ import annotations

from simulator.perf.architecture import (
    Architecture,
    attention_parameters,
    expert_parameters,
    kv_heads_per_gpu,
    mlp_parameters,
    router_parameters,
    shared_expert_parameters,
    state_parameters,
)
from simulator.perf.device import Layout

ACTIVATION_BYTES = 2
"""bf16: activations, embeddings and whatever is not quantised."""
LOGIT_BYTES = 2 + 4 + 4
"""Logits in bf16, their fp32 copy and the sampler's probabilities."""


def kv_bytes_per_token_layer(arch: Architecture, layout: Layout) -> float:
    """KV bytes of one token in one layer on one GPU.

    2 * max(1, kv_heads/TP) * head_dim * bytes; with MLA (latent + rotary part) * bytes, replicated on each GPU.
    """
    if arch.is_mla:
        return (arch.kv_lora_rank + arch.qk_rope_head_dim) * layout.kv_value_bytes
    return 2 * kv_heads_per_gpu(arch, layout.tp) * arch.head_dim * layout.kv_value_bytes


def attention_is_plain(arch: Architecture, layout: Layout) -> bool:
    """Whether the projections around attention stay in 16 bit: formats for experts only, and 4-bit formats of models
    with latent attention, whose published checkpoints leave it alone."""
    return layout.weights.experts_only or (arch.is_mla and layout.weights.weight_bytes < 1)


def attention_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one layer on one GPU that every kind of layer has: attention and norms."""
    plain = ACTIVATION_BYTES if attention_is_plain(arch, layout) else layout.weights.weight_bytes
    return attention_parameters(arch, layout.tp) * plain + 2 * arch.hidden_size * ACTIVATION_BYTES


def state_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of the projections of all layers with a state on one GPU."""
    if arch.state is None:
        return 0.0
    plain = ACTIVATION_BYTES if attention_is_plain(arch, layout) else layout.weights.weight_bytes
    return arch.state.layers * state_parameters(arch.state, arch.hidden_size) * plain / layout.tp


def mlp_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one dense MLP on one GPU."""
    plain = ACTIVATION_BYTES if layout.weights.experts_only else layout.weights.weight_bytes
    return mlp_parameters(arch) * plain / layout.tp


def expert_weight_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of one routed expert on one GPU, averaged over the GPUs that share it (cut, or dealt out whole)."""
    return expert_parameters(arch) * layout.weights.weight_bytes / layout.expert_gpus


def always_read_moe_bytes(arch: Architecture, layout: Layout) -> float:
    """Bytes of router and shared experts of one MoE layer on one GPU."""
    shared = arch.shared_experts * shared_expert_parameters(arch) * layout.weights.weight_bytes / layout.tp
    return router_parameters(arch) * ACTIVATION_BYTES + shared
