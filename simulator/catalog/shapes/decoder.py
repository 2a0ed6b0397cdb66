"""Layers of a decoder from the keys of its config: one builder for what families share, switches for what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.catalog.shapes import parts
from simulator.catalog.shapes.contexts import longest_context, original_context
from simulator.catalog.shapes.reader import Config
from simulator.memory.shape import Latent, LayerCache, Matrix, ModelShape, StatePart, Tower

STATE_TYPES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": None}


@dataclass(frozen=True, slots=True)
class Family:
    """What a config does not say of its family.

    Attributes
    ----------
    gated_mlp : MLPs have a gate; else two matrices
    tied : value of `tie_word_embeddings` where it is missing
    norms : norms of a layer
    every_other_windowed : every other layer has the window (gpt-oss, Gemma 2), where the config does not list them
    windowed : a `sliding_window` without a list of layers means that all have it
    expert_bias : experts have biases
    gated_attention : `attn_output_gate` defaults to on
    queries_normed : norms over queries and keys
    norms_span_heads : such a norm is over all heads together, not over each
    sinks : attention has a learned sink per head
    learned_positions : rows of a learned table of positions before the first; None where positions are not learned
    rotated : queries and keys are rotated by their position
    """

    gated_mlp: bool = True
    tied: bool = False
    norms: int = 2
    every_other_windowed: bool = False
    windowed: bool = True
    expert_bias: bool = False
    gated_attention: bool = False
    queries_normed: bool = False
    norms_span_heads: bool = False
    sinks: bool = False
    learned_positions: int | None = None
    rotated: bool = True


@dataclass(slots=True)
class Built:
    """Layers as they are found."""

    matrices: list[Matrix] = field(default_factory=list)
    caches: list[LayerCache] = field(default_factory=list)
    layer_of_cache: list[int] = field(default_factory=list)
    dense: int = 0
    shared: int = 0
    moe_inner: int = 0
    moe_per_token: int = 0
    experts: int = 0
    projection: int = 0
    projection_least: int = 0
    streams: int = 1
    chosen: int = 0
    latent: Latent | None = None
    unmodelled: list[str] = field(default_factory=list)

    @property
    def attends(self) -> bool:
        """Whether a layer caches tokens."""
        return any(cache.kind != "state" for cache in self.caches)

    def cache(self, layer: int, cache: LayerCache) -> None:
        self.caches.append(cache)
        self.layer_of_cache.append(layer)

    def lacks(self, words: str) -> None:
        if words not in self.unmodelled:
            self.unmodelled.append(words)


def head_width(config: Config) -> int:
    given = config.get("head_dim")
    if given:
        return config.number("head_dim")
    heads = config.number("num_attention_heads")
    if not 1 <= heads <= config.number("hidden_size"):
        raise config.problem(
            "num_attention_heads", "must be from 1 to hidden_size where head_dim is left open", str(heads)
        )
    return config.number("hidden_size") // heads


def kv_head_count(config: Config) -> int:
    """Heads of keys and values; Falcon and StarCoder name them their own way."""
    heads = config.number("num_attention_heads")
    if config.model_type in ("falcon", "RefinedWeb", "RefinedWebModel", "gpt_bigcode"):
        if config.get("new_decoder_architecture") or config.model_type == "RefinedWeb":
            return config.number("num_kv_heads", heads)
        return 1 if config.get("multi_query", True) else heads
    return config.first("num_key_value_heads", "num_attention_groups", default=heads) or heads


def layer_kinds(config: Config, family: Family) -> list[str]:
    """Kind of attention of each layer: those listed, by pattern, or by the family.

    Raises
    ------
    InputError : a kind that nobody knows here, a list that is not as long as the model
    """
    layers = config.number("num_hidden_layers")
    listed = config.get("layer_types")
    if listed is not None:
        config.get("global_attn_every_n_layers")
    interval = config.number("full_attention_interval", 0)
    window = config.get("sliding_window")
    if not config.get("use_sliding_window", True):
        window = None
    if listed is not None:
        if len(listed) < layers:
            raise config.problem("layer_types", f"must name all {layers} layers", str(len(listed)))
        return [_known_kind(config, str(kind), number) for number, kind in enumerate(listed[:layers])]
    if interval:
        return ["full" if (layer + 1) % interval == 0 else "linear" for layer in range(layers)]
    pattern = config.get("sliding_window_pattern") or config.get("_sliding_window_pattern")
    if window and isinstance(pattern, str):
        return ["window" if pattern[layer % len(pattern)] in "Ll" else "full" for layer in range(layers)]
    if window and pattern:
        return ["full" if (layer + 1) % int(pattern) == 0 else "window" for layer in range(layers)]
    if window and family.every_other_windowed:
        return ["full" if layer % 2 else "window" for layer in range(layers)]
    start = config.get("max_window_layers")
    if window and start is not None:
        return ["window" if layer >= int(start) else "full" for layer in range(layers)]
    return ["window" if window and family.windowed else "full"] * layers


_KINDS = {
    "full_attention": "full",
    "attention": "full",
    "indexed_attention": "full",
    "deepseek_sparse_attention": "full",
    "qwen_sparse_attention": "full",
    "global_attention": "full",
    "sliding_attention": "window",
    "chunked_attention": "chunk",
    "linear_attention": "linear",
    "mamba": "mamba",
    "conv": "conv",
}


def _known_kind(config: Config, kind: str, number: int) -> str:
    if kind not in _KINDS:
        raise config.problem(
            f"layer_types[{number}]", f"unknown kind of attention; known are {', '.join(_KINDS)}", kind
        )
    return _KINDS[kind]


def add_attention(config: Config, family: Family, built: Built, layer: int, kind: str) -> None:
    """Ordinary attention of one layer, with the window or the chunk of its kind."""
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    kv_heads = kv_head_count(config)
    width = head_width(config)
    gated = bool(config.get("attn_output_gate", family.gated_attention))
    prefix = f"model.layers.{layer}.self_attn"
    built.matrices += parts.attention(prefix, hidden, heads, kv_heads, width, gated=gated)
    if family.queries_normed:
        built.matrices += [parts.norm(f"{prefix}.q_norm", width), parts.norm(f"{prefix}.k_norm", width)]
    built.projection = max(built.projection, (heads * (2 if gated else 1) + 2 * kv_heads) * width)
    reach = 0
    if kind == "window":
        reach = config.number("sliding_window")
    elif kind == "chunk":
        reach = config.number("attention_chunk_size")
    built.cache(layer, LayerCache(kind, kv_heads, width, width, reach))  # type: ignore[arg-type]


def add_latent_attention(config: Config, built: Built, layer: int, part: str = "self_attn") -> None:
    """Multi-head latent attention, with the indexer of its sparse form where the config has one."""
    hidden, heads = config.number("hidden_size"), config.number("num_attention_heads")
    q_rank, kv_rank = config.number("q_lora_rank", 0), config.number("kv_lora_rank")
    nope, rope, value = (config.number(key) for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    prefix = f"model.layers.{layer}.{part}"
    built.matrices += parts.latent_attention(prefix, hidden, heads, q_rank, kv_rank, nope, rope, value)
    built.matrices.append(parts.absorbed(prefix, heads, kv_rank, nope, value))
    built.cache(layer, LayerCache("latent", 1, kv_rank + rope))
    built.latent = Latent(q_rank, kv_rank, nope, rope, value)
    built.projection = max(built.projection, heads * (nope + rope + value))
    if config.get("index_topk") and has_indexer(config, layer):
        add_indexer(config, built, layer, prefix, hidden, q_rank)


def has_indexer(config: Config, layer: int) -> bool:
    """Whether a layer of sparse attention chooses tokens itself; others take what the layer before them chose.

    Source: `DeepseekV32Attention`, vLLM 0.32.0.
    """
    pattern, every = config.get("index_topk_pattern"), config.number("index_topk_freq", 1)
    if config.get("indexer_types") is not None:
        return bool(config.by_layer("indexer_types")[layer] == "full")
    if pattern is not None:
        return layer >= len(pattern) or pattern[layer] != "S"
    after = layer - config.number("index_skip_topk_offset", 2) + 1
    return max(after, 0) % max(every, 1) == 0


def add_indexer(config: Config, built: Built, layer: int, prefix: str, hidden: int, q_rank: int) -> None:
    """Keys of the lightning indexer: fp8 with one fp32 scale per 128 values, one row per token."""
    heads, width = config.number("index_n_heads"), config.number("index_head_dim")
    built.matrices += [
        parts.whole(f"{prefix}.indexer.wq_b", heads * width, q_rank),
        parts.whole(f"{prefix}.indexer.wk", width, hidden),
        parts.whole(f"{prefix}.indexer.weights_proj", heads, hidden, plain=True),
    ]
    built.cache(layer, LayerCache("latent", 1, width, row_bytes=width + 4 * -(-width // 128)))
    built.lacks("sparse attention's indexer")


def add_delta_net(config: Config, built: Built, layer: int) -> None:
    """Gated DeltaNet of Qwen3-Next and Qwen3.5."""
    hidden = config.number("hidden_size")
    key_heads, value_heads = config.number("linear_num_key_heads"), config.number("linear_num_value_heads")
    key_dim, value_dim = config.number("linear_key_head_dim"), config.number("linear_value_head_dim")
    kernel = config.number("linear_conv_kernel_dim")
    prefix = f"model.layers.{layer}.linear_attn"
    built.matrices += parts.delta_net(prefix, hidden, key_heads, value_heads, key_dim, value_dim, kernel)
    saves = "" if config.model_type == "olmo_hybrid" else "delta_rule"
    stored = state_bytes(config)
    built.cache(layer, parts.delta_net_state(key_heads, value_heads, key_dim, value_dim, kernel, stored, saves))
    built.projection = max(built.projection, 2 * key_heads * key_dim + 2 * value_heads * value_dim)


def state_bytes(config: Config) -> int | None:
    """Bytes of a state's values, where the config fixes them."""
    name = str(config.get("mamba_ssm_dtype") or config.get("mamba_ssm_cache_dtype") or "auto").removeprefix("torch.")
    if name not in STATE_TYPES:
        raise config.problem("mamba_ssm_dtype", f"unknown type; known are {', '.join(STATE_TYPES)}", name)
    return STATE_TYPES[name]


def add_mlp(config: Config, family: Family, built: Built, layer: int, inner: int, prefix: str = "mlp") -> None:
    """A dense MLP."""
    name = f"model.layers.{layer}.{prefix}"
    built.matrices += parts.mlp(name, config.number("hidden_size"), inner, family.gated_mlp)
    built.dense = max(built.dense, inner)


def add_experts(
    config: Config,
    family: Family,
    built: Built,
    layer: int,
    count: int,
    per_token: int,
    inner: int,
    shared: int,
    router: Matrix | None = None,
) -> None:
    """Router, if not a matrix of its own kind a row for each expert, routed experts, and shared experts `shared`
    wide."""
    hidden = config.number("hidden_size")
    prefix = f"model.layers.{layer}.mlp"
    built.matrices.append(router or parts.whole(f"{prefix}.gate", count, hidden, plain=True))
    built.matrices += parts.experts(prefix, hidden, inner, count, family.gated_mlp)
    if family.expert_bias:
        built.matrices.append(
            Matrix(f"{prefix}.experts.bias", 2 * inner + hidden, 1, "experts", copies=count, plain=True)
        )
    if shared:
        built.matrices += parts.mlp(f"{prefix}.shared_expert", hidden, shared, family.gated_mlp)
        built.shared = max(built.shared, shared)
    built.experts, built.moe_per_token = count, per_token
    built.moe_inner = max(built.moe_inner, inner)


def add_norms(config: Config, family: Family, built: Built, layer: int) -> None:
    hidden = config.number("hidden_size")
    built.matrices.append(parts.norm(f"model.layers.{layer}.layernorms", family.norms * hidden))


def finish(
    config: Config,
    family: Family,
    built: Built,
    name: str,
    top: Config,
    towers: tuple[Tower, ...] = (),
    tower_matrices: tuple[Matrix, ...] = (),
    head: bool = True,
) -> ModelShape:
    """Embeddings around the layers, and the whole as a shape."""
    hidden, vocab = config.number("hidden_size"), config.number("vocab_size")
    longest = longest_context(config, top)
    tied = top.get("tie_word_embeddings")
    tied = config.get("tie_word_embeddings") if tied is None else tied
    narrow = config.number("word_embed_proj_dim", hidden)
    matrices = [
        Matrix("model.embed_tokens", vocab, narrow, "vocab", plain=True),
        *tower_matrices,
        *built.matrices,
        parts.norm("model.norm", hidden),
    ]
    if narrow != hidden:
        matrices.append(parts.whole("model.project_in_out", 2 * hidden, narrow))
    if family.rotated and built.attends:
        matrices.append(rotary(config, built, longest))
    if family.learned_positions is not None:
        rows = longest + family.learned_positions
        matrices.append(parts.whole("model.embed_positions", rows, hidden, plain=True))
    if head and not (family.tied if tied is None else tied):
        matrices.append(Matrix("lm_head", vocab, hidden, "vocab"))
    heads = config.number("num_attention_heads", 0)
    return ModelShape(
        name=name,
        model_type=config.model_type or top.model_type,
        matrices=tuple(matrices),
        caches=tuple(built.caches),
        layer_of_cache=tuple(built.layer_of_cache),
        layers=config.number("num_hidden_layers", 0) or max(built.layer_of_cache, default=0) + 1,
        hidden=hidden,
        heads=heads,
        kv_heads=1 if built.latent or not heads else kv_head_count(config),
        vocab=vocab,
        context=longest,
        original_context=original_context(config),
        dense_width=built.dense,
        shared_width=built.shared,
        moe_inner=built.moe_inner,
        moe_per_token=built.moe_per_token,
        experts=built.experts,
        projection=built.projection,
        projection_least=built.projection_least,
        streams=built.streams,
        pools=not head,
        latent=built.latent,
        sinks=family.sinks,
        norms_span_heads=family.norms_span_heads,
        dtype_bytes=2,
        quantization=quantization(config, top),
        towers=towers,
        step_bytes=_step_bytes(config, built, towers),
        unmodelled=tuple(built.unmodelled),
    )


def _step_bytes(config: Config, built: Built, towers: tuple[Tower, ...]) -> int:
    """Bytes of buffers for each token of a step: what encoders hand to later layers, embeddings of each layer beside an
    encoder (`qwen3_vl.py`, `gemma4_mm.py`, vLLM 0.33.0), and the tokens that sparse attention chose, of all layers
    (`deepseek_v2.py`) or of each (`qwen4_exp/nvidia/qsa.py`)."""
    handed = sum(tower.outputs - 1 for tower in towers) * config.number("hidden_size")
    own = config.number("num_hidden_layers", 0) * config.number("hidden_size_per_layer_input", 0) if towers else 0
    chosen = config.number("index_topk", 0) if built.latent else 0
    return 2 * (handed + own) + 4 * (chosen + built.chosen)


SPATIAL = 4
"""Contexts of positions that are held where they have a time and a place (`MRotaryEmbedding`, vLLM 0.8 to 0.33)."""


def rotary(config: Config, built: Built, longest: int) -> Matrix:
    """Cosines and sines of all positions, once per kind of rotary embedding; a buffer, not parameters."""
    width = config.first("rope_head_dim" if config.model_type == "k2_horizon" else "qk_rope_head_dim", default=0)
    width = width or (head_width(config) if config.get("num_attention_heads") else 0)
    kinds = {cache.kind for cache in built.caches if cache.kind != "state"}
    columns = sum(int(width * share) for share in _turned(config)[: max(len(kinds), 1)])
    if wide := config.number("global_head_dim", 0):  # all of a head, turned or not (`gemma4_rope.py`, vLLM 0.33.0)
        columns = width * ("window" in kinds) + wide * ("full" in kinds)
    sections = any("mrope_section" in (config.get(key) or ()) for key in ("rope_parameters", "rope_scaling"))
    return Matrix("rotary", longest * (SPATIAL if sections else 1), columns, "whole", plain=True)


def _turned(config: Config) -> list[float]:
    """Share of a head that is turned, for each kind of rotary embedding: one, another of windows, or those that are
    listed by kind of layer and differ."""
    share = float(config.get("partial_rotary_factor") or 1.0)
    listed = config.get("rope_parameters")
    if not isinstance(listed, Mapping):
        return [share] * (2 if config.get("rope_local_base_freq") else 1)
    apart = {str(sorted(each.items())): each for each in listed.values() if isinstance(each, Mapping)}
    found = list(apart.values()) or [listed] * (2 if config.get("rope_local_base_freq") else 1)
    return [float(each.get("partial_rotary_factor") or share) for each in found]


def quantization(config: Config, top: Config) -> dict[str, object] | None:
    """The config's own quantization section, wherever it stands."""
    for section in (top, config):
        for key in ("quantization_config", "compression_config"):
            found = section.get(key)
            if isinstance(found, dict) and found:
                experts = config.get("expert_dtype")
                return found if experts is None else {**found, "expert_dtype": experts}
    return None


def conv_state(width: int, kernel: int, cut: bool = True) -> LayerCache:
    """Tail of a short convolution, which tensor parallelism cuts, or not."""
    return LayerCache("state", state=(StatePart(width, tail=kernel - 1, cut=cut),), scan="short_convolution")
