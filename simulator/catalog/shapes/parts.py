"""Matrices of the parts that layers are made of, named as in checkpoints."""

from __future__ import annotations

from simulator.memory.shape import LayerCache, Matrix, StatePart


def norm(name: str, width: int) -> Matrix:
    return Matrix(name, width, 1, "whole", plain=True)


def linear(name: str, rows: int, columns: int) -> Matrix:
    """A matrix that tensor parallelism cuts, by its output or its input: the same bytes either way."""
    return Matrix(name, rows, columns, "tp")


def whole(name: str, rows: int, columns: int, plain: bool = False) -> Matrix:
    """A matrix that every GPU holds."""
    return Matrix(name, rows, columns, "whole", plain=plain)


def attention(
    prefix: str, hidden: int, heads: int, kv_heads: int, head_dim: int, value_dim: int = 0, gated: bool = False
) -> list[Matrix]:
    """Projections of ordinary attention; a gated one projects a gate as wide as its queries."""
    value_dim = value_dim or head_dim
    return [
        linear(f"{prefix}.q_proj", heads * head_dim * (2 if gated else 1), hidden),
        Matrix(f"{prefix}.k_proj", kv_heads * head_dim, hidden, "kv", heads=kv_heads),
        Matrix(f"{prefix}.v_proj", kv_heads * value_dim, hidden, "kv", heads=kv_heads),
        linear(f"{prefix}.o_proj", hidden, heads * value_dim),
    ]


def latent_attention(
    prefix: str, hidden: int, heads: int, q_rank: int, kv_rank: int, nope: int, rope: int, value: int
) -> list[Matrix]:
    """Projections of multi-head latent attention. vLLM keeps the up-projection a second time in 16 bit, split into the
    parts that absorb it into queries and outputs."""
    queries = heads * (nope + rope)
    down = (
        [whole(f"{prefix}.q_a_proj", q_rank, hidden), linear(f"{prefix}.q_b_proj", queries, q_rank)]
        if q_rank
        else [linear(f"{prefix}.q_proj", queries, hidden)]
    )
    return [
        *down,
        whole(f"{prefix}.kv_a_proj_with_mqa", kv_rank + rope, hidden),
        linear(f"{prefix}.kv_b_proj", heads * (nope + value), kv_rank),
        linear(f"{prefix}.o_proj", hidden, heads * value),
        norm(f"{prefix}.kv_a_layernorm", kv_rank),
        *([norm(f"{prefix}.q_a_layernorm", q_rank)] if q_rank else []),
    ]


def absorbed(prefix: str, heads: int, kv_rank: int, nope: int, value: int) -> Matrix:
    """Second copy of the latent's up-projection (`W_UK_T`, `W_UV`)."""
    return Matrix(f"{prefix}.absorbed", heads * (nope + value), kv_rank, "tp", plain=True)


def mlp(prefix: str, hidden: int, inner: int, gated: bool = True) -> list[Matrix]:
    names = ("gate_proj", "up_proj") if gated else ("up_proj",)
    return [
        *(linear(f"{prefix}.{name}", inner, hidden) for name in names),
        linear(f"{prefix}.down_proj", hidden, inner),
    ]


def experts(prefix: str, hidden: int, inner: int, count: int, gated: bool = True) -> list[Matrix]:
    names = ("gate_proj", "up_proj", "down_proj") if gated else ("up_proj", "down_proj")
    return [Matrix(f"{prefix}.experts.{name}", inner, hidden, "experts", copies=count) for name in names]


def delta_net(
    prefix: str, hidden: int, key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int
) -> list[Matrix]:
    """Gated DeltaNet: queries, keys, values and gate in one projection, beta and decay in another, a convolution."""
    keys, values = key_heads * key_dim, value_heads * value_dim
    return [
        linear(f"{prefix}.in_proj_qkv", 2 * keys + values, hidden),
        linear(f"{prefix}.in_proj_z", values, hidden),
        Matrix(f"{prefix}.in_proj_ba", 2 * value_heads, hidden, "tp", plain=True),
        Matrix(f"{prefix}.conv1d", 2 * keys + values, kernel, "tp", plain=True),
        norm(f"{prefix}.norm", value_dim),
        linear(f"{prefix}.out_proj", hidden, values),
    ]


def delta_net_state(
    key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int, state_bytes: int | None, saves: str
) -> LayerCache:
    """Convolution tail in the model's type, and a matrix per value head."""
    passed = StatePart(2 * key_heads * key_dim + value_heads * value_dim, tail=kernel - 1)
    return recurrence("gated_delta_net", value_heads, key_dim, value_dim, passed, state_bytes, saves=saves)


def recurrence(
    scan: str,
    heads: int,
    key_dim: int,
    value_dim: int,
    passed: StatePart | None,
    state_bytes: int | None,
    chunk: int = 0,
    saves: str = "",
) -> LayerCache:
    """A matrix per head, and the tail of a convolution in the model's type where there is one."""
    matrix = StatePart(heads * key_dim * value_dim, state_bytes)
    state = (passed, matrix) if passed else (matrix,)
    return LayerCache("state", heads, key_dim, value_dim, state=state, scan=scan, chunk=chunk, saves=saves)


def mamba2(prefix: str, hidden: int, heads: int, head_dim: int, state: int, groups: int, kernel: int) -> list[Matrix]:
    """Mamba-2 mixer."""
    inner, channels = heads * head_dim, heads * head_dim + 2 * groups * state
    return [
        linear(f"{prefix}.in_proj", inner + channels + heads, hidden),
        Matrix(f"{prefix}.conv1d", channels, kernel, "tp", plain=True),
        norm(f"{prefix}.norm", inner),
        linear(f"{prefix}.out_proj", hidden, inner),
    ]


def mamba2_state(
    heads: int, head_dim: int, state: int, groups: int, kernel: int, state_bytes: int | None, chunk: int
) -> LayerCache:
    passed = StatePart(heads * head_dim + 2 * groups * state, tail=kernel - 1, group_values=2 * state, groups=groups)
    return recurrence("mamba2", heads, state, head_dim, passed, state_bytes, chunk, saves="mamba2")
