"""How a KV cache stores a head's key and value of one token, and a latent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.memory.shape import LayerCache, ModelShape

PLAIN_PAGE_RATIO = 2
"""Bytes of a 16-bit element over those of the byte that vLLM takes a packed one for when it aligns blocks."""


PACKED_ROTARY = 64
"""Elements that packed latents keep for a rotary part where they have none (`flashmla_sparse.py`, vLLM 0.32.0)."""


@dataclass(frozen=True, slots=True)
class KvFormat:
    """Bytes of the KV cache.

    .. math::
        b = \\lceil d_k k / 8 \\rceil + o_k + \\lceil d_v v / 8 \\rceil + o_v
            + \\lfloor d_k / g \\rfloor + \\lfloor d_v / g \\rfloor

    of a token in one KV head, with keys of :math:`d_k` elements of :math:`k` bits, values of :math:`d_v` of :math:`v`,
    :math:`o` bytes beside each, and a byte of scale for :math:`g` elements.

    Attributes
    ----------
    name : as vLLM has it
    key_bits, value_bits : of one element; 0 follows the weights' 16-bit type
    key_beside, value_beside : bytes beside a head's key and value of one token
    per_scale : elements that share one byte of scale; 0 without
    even : bytes of a head and token are rounded up to an even number
    plain_ends : layers at either end of a model without states that stay in 16 bit
    block_tokens : tokens of the shortest block; 0 is the engine's
    latent_scale_bytes, latent_per_scale, rotary_bytes : of a latent's scales, the elements that share one, and of an
        element of its rotary part; 0 where that is stored like the rest, without scales
    lengthened : blocks hold the smallest page of a layer in 16 bit
    """

    name: str = "auto"
    key_bits: int = 0
    value_bits: int = 0
    key_beside: int = 0
    value_beside: int = 0
    per_scale: int = 0
    even: bool = False
    plain_ends: int = 0
    block_tokens: int = 0
    latent_scale_bytes: int = 0
    latent_per_scale: int = 0
    rotary_bytes: int = 0
    lengthened: bool = False

    def head_bytes(self, key: int, value: int, dtype_bytes: int) -> int:
        """Bytes of one token in one KV head."""
        if not self.key_bits:
            return (key + value) * dtype_bytes
        scales = key // self.per_scale + value // self.per_scale if self.per_scale else 0
        stored = math.ceil(key * self.key_bits / 8) + math.ceil(value * self.value_bits / 8)
        total = stored + self.key_beside + self.value_beside + scales
        return total + total % 2 if self.even else total

    def latent_bytes(self, shape: ModelShape, width: int) -> int:
        """Bytes of one token's latent of `width` elements, its rotary part included."""
        if not self.key_bits:
            return width * shape.dtype_bytes
        if not self.rotary_bytes or shape.latent is None:
            return math.ceil(width * self.key_bits / 8)
        rotary = shape.latent.rope or PACKED_ROTARY
        rest = width - shape.latent.rope
        scales = self.latent_scale_bytes * math.ceil(rest / self.latent_per_scale)
        return math.ceil(rest * self.key_bits / 8) + scales + rotary * self.rotary_bytes

    def token_bytes(self, shape: ModelShape, cache: LayerCache, layer: int, tp: int) -> int:
        """Bytes that a layer takes for one token on one GPU."""
        if cache.row_bytes:
            return cache.row_bytes
        if cache.kind == "latent":
            return self.latent_bytes(shape, cache.head_dim)
        chosen = KvFormat() if layer in self.plain_layers(shape) else self
        return max(1, cache.heads // tp) * chosen.head_bytes(cache.head_dim, cache.value_dim, shape.dtype_bytes)

    def plain_layers(self, shape: ModelShape) -> frozenset[int]:
        """Layers that stay in 16 bit."""
        if not self.plain_ends or any(cache.kind == "state" for cache in shape.caches):
            return frozenset()
        ends = min(self.plain_ends, shape.layers // 2)
        return frozenset([*range(ends), *range(shape.layers - ends, shape.layers)])

    def block_size(self, shape: ModelShape, asked: int, step: int) -> int:
        """Tokens of a block: as asked for, or lengthened in such steps until a page holds `step` tokens in 16 bit."""
        least = max(asked, self.block_tokens)
        if not (self.lengthened and self.plain_layers(shape)):
            return least
        return least * math.ceil(PLAIN_PAGE_RATIO * step / least)

    def value_bytes(self, shape: ModelShape) -> float:
        """Bytes of one KV value, scales included, over all layers that cache tokens."""
        stored = values = 0
        for cache, layer in zip(shape.caches, shape.layer_of_cache, strict=True):
            if cache.kind != "state" and not cache.row_bytes:
                stored += self.token_bytes(shape, cache, layer, 1)
                values += max(1, cache.heads) * (cache.head_dim + cache.value_dim)
        return stored / values if values else self.key_bits / 8 or float(shape.dtype_bytes)


IN_16_BIT = KvFormat()
"""As long as the activations."""
