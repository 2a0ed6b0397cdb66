"""A model as the memory plan sees it: its weight matrices by name, and what each layer keeps per token or request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Cut = Literal["tp", "kv", "whole", "experts", "vocab"]
CacheKind = Literal["full", "window", "chunk", "latent", "state", "ring", "cross"]

BUFFERS = ("rotary", ".absorbed", ".tid2eid")
"""Ends of names of what is held but is no parameter."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights of one name.

    Attributes
    ----------
    name : as in the checkpoint (`model.layers.0.mlp.down_proj`), which lists of unquantised modules refer to
    rows, columns : output and input width; a vector has one column
    cut : how tensor parallelism divides it: by tp, by KV heads (replicated below one a GPU), not at all, by experts,
        or by a padded vocabulary
    heads : KV heads of a `kv` cut
    copies : experts of an `experts` cut
    plain : never quantised (embeddings, norms, routers, convolutions, biases)
    value_bytes : of a plain value: 2, or 4 where the model keeps it in fp32
    """

    name: str
    rows: int
    columns: int
    cut: Cut
    heads: int = 0
    copies: int = 1
    plain: bool = False
    value_bytes: int = 2

    @property
    def parameters(self) -> int:
        return self.rows * self.columns * self.copies


@dataclass(frozen=True, slots=True)
class StatePart:
    """One array of a layer's recurrent state.

    Attributes
    ----------
    values : on one GPU if tensor parallelism did not cut it; of one token where it is a tail
    value_bytes : of a value; None follows the activations
    cut : whether tensor parallelism divides it
    tail : tokens that a convolution reads again; each draft of a step is one more. None where it is no tail
    group_values, groups : of `values`, those of one group of heads, and its groups, which are copied until every GPU
        has one; 0 without
    """

    values: int
    value_bytes: int | None = None
    cut: bool = True
    tail: int | None = None
    group_values: int = 0
    groups: int = 0


@dataclass(frozen=True, slots=True)
class LayerCache:
    """What one layer keeps.

    Attributes
    ----------
    kind : every token (`full`), the last `reach` tokens (`window`), those of the current piece of `reach` tokens
        (`chunk`), one latent per token (`latent`), a state that does not grow (`state`), the tokens of the row that is
        being compressed, in one block of each request (`ring`), or what an encoder made of the input (`cross`)
    heads, head_dim, value_dim : KV heads before tensor parallelism, width of a key and of a value
    reach : tokens of the window or chunk
    row_bytes : bytes per row where they do not follow the KV cache's type, as the keys of a sparse indexer; 0 else
    tokens_per_row : tokens that one row stands for; of a ring, those that it holds beside a step's drafts
    pooled_rows : rows of which a kernel takes multiples, where one stands for several tokens
    block_tokens, alignment : tokens of its own blocks and what their bytes are a multiple of; 0 tokens are the engine's
    state : arrays of a state
    scan : what kind of layer keeps it (`simulator.perf.architecture.StateLayers`)
    chunk : tokens of the chunks that its scan computes side by side, 0 where one follows another
    saves : kernel that can save the state amid a prefill (`Rules.saved_states`); empty where none can
    """

    kind: CacheKind
    heads: int = 1
    head_dim: int = 0
    value_dim: int = 0
    reach: int = 0
    row_bytes: int = 0
    tokens_per_row: int = 1
    pooled_rows: int = 1
    block_tokens: int = 0
    alignment: int = 1
    state: tuple[StatePart, ...] = ()
    scan: str = ""
    chunk: int = 0
    saves: str = ""


@dataclass(frozen=True, slots=True)
class Tower:
    """A vision or audio encoder: what its profile run at start-up needs.

    Attributes
    ----------
    hidden, inner : width of its residual stream, and all that its MLP projects one patch to
    patches_per_token : patches that the merger turns into one token of the language model
    tokens_per_item : tokens of the largest item; 0 where it follows the token budget
    pixels : values of a patch before it is projected
    kept : values of a patch that are held throughout beside its pixels: angles, positions that were added
    rotates : queries and keys are rotated, which makes two copies of them
    outputs : embeddings of each token, one more for each layer that hands on its own
    alone : items are encoded one after the other, not together
    hears : of audio, not of images and videos
    video_tokens, spelled_tokens : of the largest video, and those with the words that say when each was seen, which
        some versions hold embeddings for; 0 where nothing is known of videos
    """

    hidden: int
    inner: int
    patches_per_token: int
    tokens_per_item: int
    pixels: int = 0
    kept: int = 0
    rotates: bool = False
    outputs: int = 1
    alone: bool = False
    hears: bool = False
    video_tokens: int = 0
    spelled_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Latent:
    """Ranks and widths of multi-head latent attention; a query rank of 0 projects queries directly."""

    q_rank: int
    kv_rank: int
    nope: int
    rope: int
    value: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model's weights and caches.

    Attributes
    ----------
    name, model_type : for messages; the second is the config's own
    matrices : all weights that vLLM loads without speculative decoding
    caches : one entry per layer and cache; layers that reuse another layer's cache have none
    layer_of_cache : the layer of each entry, for pipeline stages
    layers, hidden, heads, kv_heads, vocab, context : as in the config
    original_context : before LongRoPE extended it; None with other rotary scalings
    dense_width, shared_width : of the widest dense MLP, and of the shared experts of a layer together; 0 without
    moe_inner, moe_per_token, experts : of routed experts; 0 without
    projection : values that attention or a state layer projects from one token, divided by tp
    projection_least : fewest of them on one GPU, where a kernel pads the heads
    streams : residual streams
    pools : it embeds or scores what was read; nothing is sampled
    latent : one latent per token instead of keys and values
    sinks : attention has a learned sink per head
    norms_span_heads : queries and keys are normalised over all heads together
    dtype_bytes : of the weights that are not quantised
    quantization : the config's own section, empty without
    towers : encoders of other modalities
    step_bytes : bytes for each token of the step's budget that the model holds from the start
    unmodelled : what of the model the step-time model does not know, in words
    """

    name: str
    model_type: str
    matrices: tuple[Matrix, ...]
    caches: tuple[LayerCache, ...]
    layer_of_cache: tuple[int, ...]
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocab: int
    context: int
    dense_width: int = 0
    shared_width: int = 0
    moe_inner: int = 0
    moe_per_token: int = 0
    experts: int = 0
    projection: int = 0
    projection_least: int = 0
    streams: int = 1
    pools: bool = False
    original_context: int | None = None
    latent: Latent | None = None
    sinks: bool = False
    norms_span_heads: bool = False
    dtype_bytes: int = 2
    quantization: dict[str, object] | None = None
    towers: tuple[Tower, ...] = ()
    step_bytes: int = 0
    unmodelled: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Parameters of the checkpoint: all that is loaded but buffers and second copies."""
        return sum(matrix.parameters for matrix in self.matrices if not matrix.name.endswith(BUFFERS))

    @property
    def is_mla(self) -> bool:
        return self.latent is not None

    @property
    def mlp_width(self) -> int:
        """Widest MLP that tensor parallelism divides."""
        return max(self.dense_width, self.shared_width)

    @property
    def expert_width(self) -> int:
        return self.moe_inner

    @property
    def tied(self) -> bool:
        """Whether one matrix embeds and heads."""
        return all(matrix.name != "lm_head" for matrix in self.matrices)


def without_encoders(shape: ModelShape, seeing: bool = True, hearing: bool = True) -> ModelShape:
    """A model served without its encoders of images and videos, of audio, or both: neither they nor room for what they
    hand to its layers."""
    gone = tuple(f"{sense}_tower." for sense, left in (("vision", seeing), ("audio", hearing)) if left)
    towers = tuple(tower for tower in shape.towers if not (hearing if tower.hears else seeing))
    handed = sum(tower.outputs - 1 for tower in shape.towers if tower not in towers) * shape.hidden * shape.dtype_bytes
    matrices = tuple(matrix for matrix in shape.matrices if not any(part in matrix.name for part in gone))
    return replace(shape, matrices=matrices, towers=towers, step_bytes=shape.step_bytes - handed)
