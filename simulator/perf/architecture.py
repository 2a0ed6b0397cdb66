"""A transformer's shape and what follows from it: parameter counts and the weights a token passes through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateLayers:
    """Layers with a state per sequence, which does not grow with its context.

    Attributes
    ----------
    kind : `gated_delta_net`, `kda`, `mamba`, `mamba2`, `lightning` or `short_convolution`
    layers : how many; they may have attention beside it
    projected : values that the hidden state is projected to, in one product
    projections : (n, k) of the products after it; all without tensor parallelism
    heads, values, value_bytes : of the state of one layer: its matrices, their values together, bytes of a value
    key_values, value_values : values of a token's keys, and of its values over all heads
    channels, tail : that a convolution passes, and values of them that a sequence keeps
    chunk : tokens of the chunks that a scan computes side by side; 0 where it goes through them one after another
    """

    kind: str
    layers: int
    projected: int
    projections: tuple[tuple[int, int], ...]
    heads: int
    values: int
    value_bytes: float
    key_values: int
    value_values: int
    channels: int
    tail: int
    chunk: int

    @property
    def held_bytes(self) -> float:
        """State and convolution's tail of one sequence in one layer, the tail in 16 bit."""
        return self.values * self.value_bytes + 2 * self.tail


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of a decoder-only transformer, as its Hugging Face `config.json` gives it.

    Attributes
    ----------
    name : catalog name, used in messages
    layers, hidden_size, vocab_size, heads, kv_heads, head_dim : as in `config.json`
    intermediate_size : width of a dense MLP
    gated : MLPs and experts have a gate beside their way up: three matrices, else two
    max_position_embeddings : longest context the model was made for, in tokens
    tie_embeddings : input and output embedding are one matrix
    experts, experts_per_token, shared_experts, moe_intermediate_size : mixture of experts; 0 experts is a dense model
    dense_layers : layers with a dense MLP (all of them in a dense model, the first few in DeepSeek-V3)
    kv_lora_rank, q_lora_rank, qk_rope_head_dim, qk_nope_head_dim, v_head_dim : multi-head latent attention (MLA);
        a latent rank of 0 is ordinary attention; a q rank of 0 projects queries directly
    popularity_ratio : tokens of a layer's most popular expert over those of its least; 1 is uniform routing
    sliding_window, sliding_layers : window in tokens and the number of layers that see only it
    query_gates : attention projects a gate of its output as wide as its queries
    expert_hidden : width of the latent that routed experts work in; 0 is the hidden state
    bare_layers : layers with neither a dense MLP nor experts
    idle_layers : layers without attention
    state : layers with a state per sequence
    attention_sinks : attention has a learned sink per head, which not every attention kernel computes
    norms_span_heads : queries and keys are normalised over all heads together, so a tensor-parallel group joins their
        sums of squares
    """

    name: str
    layers: int
    hidden_size: int
    vocab_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    max_position_embeddings: int
    tie_embeddings: bool = False
    experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    moe_intermediate_size: int = 0
    dense_layers: int = 0
    popularity_ratio: float = 1.0
    kv_lora_rank: int = 0
    q_lora_rank: int = 0
    qk_rope_head_dim: int = 0
    qk_nope_head_dim: int = 0
    v_head_dim: int = 0
    sliding_window: int = 0
    sliding_layers: int = 0
    attention_sinks: bool = False
    norms_span_heads: bool = False
    gated: bool = True
    query_gates: bool = False
    expert_hidden: int = 0
    bare_layers: int = 0
    idle_layers: int = 0
    state: StateLayers | None = None

    @property
    def attention_layers(self) -> int:
        """Layers with keys and values, or a latent, per token."""
        return self.layers - self.idle_layers

    @property
    def routed_hidden(self) -> int:
        """Width that routed experts read and write."""
        return self.expert_hidden or self.hidden_size

    @property
    def mixers(self) -> int:
        """Attentions and states of all layers."""
        return self.attention_layers + (self.state.layers if self.state else 0)

    @property
    def mlp_matrices(self) -> int:
        return 3 if self.gated else 2

    @property
    def is_mla(self) -> bool:
        return self.kv_lora_rank > 0

    @property
    def full_layers(self) -> int:
        """Layers that attend to the whole context."""
        return self.attention_layers - self.sliding_layers

    @property
    def moe_layers(self) -> int:
        return self.layers - self.dense_layers - self.bare_layers

    @property
    def mlp_width(self) -> int:
        """Width of the dense MLPs, 0 without."""
        return self.intermediate_size if self.dense_layers else 0

    @property
    def expert_width(self) -> int:
        """Width of an expert, 0 without."""
        return self.moe_intermediate_size if self.experts else 0


def attention_parameters(arch: Architecture, tp: int = 1) -> float:
    """Parameters of one attention block on one of `tp` GPUs.

    KV heads below one per GPU are replicated; MLA's down-projections are replicated on every GPU (as vLLM does).
    """
    hidden = arch.hidden_size
    if arch.is_mla:
        qk_dim = arch.qk_nope_head_dim + arch.qk_rope_head_dim
        down = hidden * (arch.q_lora_rank + arch.kv_lora_rank + arch.qk_rope_head_dim)
        up = (arch.q_lora_rank or hidden) * arch.heads * qk_dim
        up += arch.kv_lora_rank * arch.heads * (arch.qk_nope_head_dim + arch.v_head_dim)
        return down + (up + arch.heads * arch.v_head_dim * hidden) / tp
    queries_and_output = (3 if arch.query_gates else 2) * hidden * arch.heads * arch.head_dim
    return queries_and_output / tp + 2 * hidden * kv_heads_per_gpu(arch, tp) * arch.head_dim


def state_parameters(state: StateLayers, hidden: int) -> int:
    """Parameters of the projections of one layer with a state."""
    return state.projected * hidden + sum(n * k for n, k in state.projections)


def kv_heads_per_gpu(arch: Architecture, tp: int) -> int:
    """max(1, kv_heads / tp): a KV head is replicated where there are fewer of them than GPUs."""
    return max(1, arch.kv_heads // tp)


def mlp_parameters(arch: Architecture) -> int:
    """Parameters of one dense MLP."""
    return arch.mlp_matrices * arch.hidden_size * arch.intermediate_size


def expert_parameters(arch: Architecture) -> int:
    """Parameters of one expert."""
    return arch.mlp_matrices * arch.routed_hidden * arch.moe_intermediate_size


def shared_expert_parameters(arch: Architecture) -> int:
    """Parameters of one shared expert."""
    return arch.mlp_matrices * arch.hidden_size * arch.moe_intermediate_size


def router_parameters(arch: Architecture) -> int:
    return arch.hidden_size * arch.experts


def embedding_parameters(arch: Architecture) -> int:
    return arch.vocab_size * arch.hidden_size


def parameters(arch: Architecture) -> int:
    """All parameters: embeddings, attention, MLPs, experts, routers and norms (biases, below 0.1 %, are left out)."""
    embeddings = embedding_parameters(arch) * (1 if arch.tie_embeddings else 2)
    norms = (2 * arch.layers + 1) * arch.hidden_size
    attention = arch.attention_layers * attention_parameters(arch)
    if arch.state:
        attention += arch.state.layers * state_parameters(arch.state, arch.hidden_size)
    moe = router_parameters(arch) + arch.experts * expert_parameters(arch)
    moe += arch.shared_experts * shared_expert_parameters(arch) + 2 * arch.expert_hidden * arch.hidden_size
    return round(embeddings + norms + attention + arch.dense_layers * mlp_parameters(arch) + arch.moe_layers * moe)


def active_parameters(arch: Architecture, input_embedding: bool = True) -> int:
    """Parameters one token passes through: all but the experts that it is not sent to.

    Publishers differ on the input embedding, a mere look-up: gpt-oss leaves it out, the others count it.
    """
    idle = arch.moe_layers * (arch.experts - arch.experts_per_token) * expert_parameters(arch)
    lookup = 0 if input_embedding or arch.tie_embeddings else embedding_parameters(arch)
    return parameters(arch) - idle - lookup


def body_parameters_per_token(arch: Architecture) -> int:
    """Parameters in matrix products of every token: no embedding, no LM head (that runs for sampled tokens only)."""
    embeddings = embedding_parameters(arch) * (1 if arch.tie_embeddings else 2)
    return active_parameters(arch) - embeddings - (2 * arch.layers + 1) * arch.hidden_size
