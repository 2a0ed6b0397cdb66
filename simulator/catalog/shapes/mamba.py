"""Models of state-space layers alone, or with attention in some layers: Mamba, Mamba-2, Jamba, Bamba, Zamba 2."""

from __future__ import annotations

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.decoder import Built, Family, add_attention, add_experts, add_mlp, add_norms, state_bytes
from simulator.catalog.shapes.families import per_token_count
from simulator.catalog.shapes.hybrids import add_mamba2, scan_chunk
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import LayerCache, Matrix, StatePart

SCAN = "mamba"


def mamba(config: Config, family: Family, built: Built) -> None:
    """Mamba, Falcon Mamba: a selective scan in every layer (`MambaMixer`, vLLM 0.32.0)."""
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        inner = config.number("intermediate_size", int(config.get("expand", 2) * config.number("hidden_size")))
        _add_scan(
            config,
            built,
            layer,
            inner,
            config.number("state_size"),
            config.number("conv_kernel", 4),
            config.number("time_step_rank"),
        )


def _add_scan(config: Config, built: Built, layer: int, inner: int, state: int, kernel: int, rank: int) -> None:
    """Projections, convolution and scan of one Mamba mixer, whose state has a row for each inner channel."""
    hidden, prefix = config.number("hidden_size"), f"model.layers.{layer}.mamba"
    built.matrices += [
        parts.linear(f"{prefix}.in_proj", 2 * inner, hidden),
        Matrix(f"{prefix}.conv1d", inner, kernel, "tp", plain=True),
        parts.linear(f"{prefix}.x_proj", rank + 2 * state, inner),
        parts.linear(f"{prefix}.dt_proj", inner, rank),
        Matrix(f"{prefix}.A", inner, state, "tp", plain=True, value_bytes=4),
        parts.linear(f"{prefix}.out_proj", hidden, inner),
    ]
    passed = StatePart(inner, tail=kernel - 1)
    matrix = StatePart(inner * state, state_bytes(config))
    built.cache(layer, LayerCache("state", inner, state, 1, state=(passed, matrix), scan=SCAN))
    built.projection = max(built.projection, 2 * inner)


def mamba2(config: Config, family: Family, built: Built) -> None:
    """Mamba-2 alone, with its own names of keys (`Mamba2ForCausalLM`, vLLM 0.32.0)."""
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        _add_mamba2(config, built, layer, "num_heads", "head_dim", "state_size", "n_groups", "conv_kernel")


def _add_mamba2(
    config: Config, built: Built, layer: int, heads_key: str, width_key: str, state_key: str, groups_key: str, tail: str
) -> None:
    heads, width, state = (config.number(key) for key in (heads_key, width_key, state_key))
    groups, kernel, hidden = config.number(groups_key, 1), config.number(tail, 4), config.number("hidden_size")
    built.matrices += parts.mamba2(f"model.layers.{layer}.mamba", hidden, heads, width, state, groups, kernel)
    cache = parts.mamba2_state(heads, width, state, groups, kernel, state_bytes(config), scan_chunk(config))
    built.cache(layer, cache)
    built.projection = max(built.projection, 2 * heads * width + 2 * groups * state + heads)


def jamba(config: Config, family: Family, built: Built) -> None:
    """Jamba: attention every few layers, experts in every other (`JambaForCausalLM`, vLLM 0.32.0)."""
    period, offset = config.number("attn_layer_period", 8), config.number("attn_layer_offset", 4)
    every, first = config.number("expert_layer_period", 2), config.number("expert_layer_offset", 1)
    count, width = config.number("num_experts", 16), config.number("intermediate_size")
    inner = int(config.get("mamba_expand", 2) * config.number("hidden_size"))
    state, kernel = config.number("mamba_d_state", 16), config.number("mamba_d_conv", 4)
    rank = config.get("mamba_dt_rank", "auto")
    rank = -(-config.number("hidden_size") // 16) if rank == "auto" else config.number("mamba_dt_rank")
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        if layer % period == offset:
            add_attention(config, family, built, layer, "full")
        else:
            _add_scan(config, built, layer, inner, state, kernel, rank)
        if count > 1 and layer % every == first:
            add_experts(config, family, built, layer, count, per_token_count(config), width, 0)
        else:
            add_mlp(config, family, built, layer, width)


def bamba(config: Config, family: Family, built: Built) -> None:
    """Bamba: Mamba-2 with attention in listed layers (`BambaForCausalLM`, vLLM 0.22.0)."""
    attending = set(config.get("attn_layer_indices") or ())
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, family, built, layer)
        if layer in attending:
            add_attention(config, family, built, layer, "full")
        else:
            add_mamba2(config, built, layer)
        add_mlp(config, family, built, layer, config.number("intermediate_size"))


def zamba2(config: Config, family: Family, built: Built) -> None:
    """Zamba 2: Mamba-2 everywhere, and in some layers blocks of attention and MLP that take turns before it.

    A block reads the hidden state beside the embedding, twice as wide; each layer that uses one has a projection and
    adapters of its own (`Zamba2ForCausalLM`, vLLM 0.32.0).
    """
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    wide = config.number("attention_hidden_size", 2 * hidden)
    width = config.number("attention_head_dim", wide // max(heads, 1))
    rank, inner = config.number("adapter_rank", 128), config.number("intermediate_size")
    blocks = config.number("num_mem_blocks", 1)
    hybrid = _hybrid_layers(config)
    for layer in range(config.number("num_hidden_layers")):
        add_norms(config, Family(norms=1), built, layer)
        _add_mamba2(
            config, built, layer, "n_mamba_heads", "mamba_headdim", "mamba_d_state", "mamba_ngroups", "mamba_d_conv"
        )
        if layer not in hybrid:
            continue
        prefix = f"model.layers.{layer}.shared_transformer"
        built.matrices.append(parts.whole(f"model.layers.{layer}.linear", hidden, hidden))
        adapted = [("feed_forward.gate_up_proj", 2 * inner, hidden, 1)]
        if config.get("use_shared_attention_adapter"):
            adapted.append(("self_attn.qkv", wide, wide, 3))
        for name, rows, columns, count in adapted:
            for number in range(count):
                built.matrices += [
                    parts.linear(f"{prefix}.{name}.adapter{number}.A", rank, columns),
                    parts.linear(f"{prefix}.{name}.adapter{number}.B", rows, rank),
                ]
        if hybrid.index(layer) < blocks:
            built.matrices += [
                *(parts.linear(f"{prefix}.self_attn.{name}_proj", wide, wide) for name in "qkv"),
                parts.linear(f"{prefix}.self_attn.o_proj", hidden, wide),
                *parts.mlp(f"{prefix}.feed_forward", hidden, inner),
                parts.norm(f"{prefix}.layernorms", wide + hidden),
            ]
        built.projection = max(built.projection, 3 * wide)
        built.dense = max(built.dense, inner)
        built.cache(layer, LayerCache("full", heads, width, width))
    built.lacks("blocks of attention that layers share")


def _hybrid_layers(config: Config) -> list[int]:
    """Layers with a shared block: those listed by number or by kind."""
    found, kinds = config.get("hybrid_layer_ids"), config.get("layers_block_type")
    if found is not None:
        return [int(layer) for layer in found]
    if kinds is None:
        raise config.problem("hybrid_layer_ids", f"config.json of type {config.model_type!r} lacks it")
    return [layer for layer, kind in enumerate(kinds) if kind not in ("mamba", "linear_attention")]
