"""Layers that exist as KV cache specs alone, and the groups that vLLM makes of them."""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.kv_cache_interface import ChunkedLocalAttentionSpec, FullAttentionSpec, MambaSpec, SlidingWindowSpec

_STATE_SHAPE = (8, 4)
_ONE_FULL_LAYER = (("full", 1),)


def layer_specs(engine: dict[str, Any], block_size: int) -> dict[str, Any]:
    """KV cache spec by layer name; `layers` lists (`full`, `half`, `window:W`, `chunk:C` or `mamba`, how many).

    `half` reads all tokens too, with half the bytes for each, so that its blocks hold twice as many (Gemma 4).
    """
    specs: dict[str, Any] = {}
    for kind, many in engine.get("layers", _ONE_FULL_LAYER):
        for _ in range(many):
            specs[f"model.layers.{len(specs)}.attn"] = _spec(kind, engine, block_size)
    return specs


def _spec(kind: str, engine: dict[str, Any], block_size: int) -> Any:
    name, _, size = kind.partition(":")
    base = {"block_size": block_size, "num_kv_heads": 1, "head_size": 16, "dtype": torch.bfloat16}
    if name == "full":
        return FullAttentionSpec(**base)
    if name == "half":
        return FullAttentionSpec(**base | {"head_size": base["head_size"] // 2})
    if name == "window":
        return SlidingWindowSpec(**base, sliding_window=int(size))
    if name == "chunk":
        return ChunkedLocalAttentionSpec(**base, attention_chunk_size=int(size))
    if name != "mamba":
        raise ValueError(f"no such kind of layer: {kind}")
    mode = engine.get("mamba_cache_mode", "none")
    drafts = engine.get("speculative") or {}
    saves = {"num_prefill_checkpoint_blocks": 1, "prefill_checkpoint_alignment": 1}
    return MambaSpec(
        block_size=engine["max_model_len"] if mode == "none" else block_size,
        shapes=(_STATE_SHAPE,),
        dtypes=(torch.float32,),
        page_size_padded=FullAttentionSpec(**base).page_size_bytes,
        mamba_cache_mode=mode,
        num_speculative_blocks=drafts.get("num_speculative_tokens", 0),
        **(saves if engine.get("saved_states") else {}),
    )


_KINDS = {
    FullAttentionSpec: "full",
    SlidingWindowSpec: "window",
    MambaSpec: "mamba",
    ChunkedLocalAttentionSpec: "chunk",
}


def describe_group(group: Any) -> dict[str, Any]:
    """A KV cache group as recordings name it."""
    spec = group.kv_cache_spec
    kind = _KINDS.get(type(spec), type(spec).__name__)
    row: dict[str, Any] = {"kind": kind, "layers": len(group.layer_names), "block_size": spec.block_size}
    if kind == "window":
        row["sliding_window"] = spec.sliding_window
    if kind == "chunk":
        row["attention_chunk_size"] = spec.attention_chunk_size
    if kind == "mamba":
        row["mamba_cache_mode"] = spec.mamba_cache_mode
        if spec.num_speculative_blocks:
            row["num_speculative_blocks"] = spec.num_speculative_blocks
        if spec.num_prefill_checkpoint_blocks:
            row["num_prefill_checkpoint_blocks"] = spec.num_prefill_checkpoint_blocks
            row["prefill_checkpoint_alignment"] = spec.prefill_checkpoint_alignment
    if group.is_eagle_group:
        row["is_eagle_group"] = True
    return row
