"""Bytes of a model's weights on the fullest GPU: the format of each matrix, what stays in 16 bit, and how it is cut."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from simulator.memory.shape import Matrix, ModelShape
from simulator.perf.device import Split

VOCAB_PADDING = 64
"""vLLM pads a vocabulary to a multiple of this before it is cut."""
DECODER_LAYERS = "model.layers."
"""Beginning of the names of matrices of the decoder's layers; those of towers are numbered apart."""
DRAFT = "draft."
"""Beginning of the names of matrices that draft."""
Pad = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Format:
    """Bytes of one weight matrix.

    .. math:: b = b_w + s / (g_{in} g_{out}) + i / n_{out}

    Attributes
    ----------
    name : as `fp8`; what is computed in 16 bit is `int4` or `w8a16`
    weight_bytes : :math:`b_w` of one weight without scales
    group : (output, input) weights that share one scale; an output of 0 is one scale per matrix row
    scale_bytes : bytes of the scale, and of the zero point where there is one
    input_bytes : of each input, as of the index of its group
    """

    name: str
    weight_bytes: float
    group: tuple[int, int] = (0, 0)
    scale_bytes: float = 0.0
    input_bytes: float = 0.0

    def bytes_of(self, rows: int, columns: int, scaled: bool = True) -> float:
        """Bytes of a matrix, with its scales or without."""
        if not scaled:
            return rows * columns * self.weight_bytes
        total = rows * columns * self.weight_bytes + columns * self.input_bytes
        if not self.scale_bytes:
            return total
        high, wide = self.group
        scales = math.ceil(rows / (high or 1)) * math.ceil(columns / (wide or columns))
        return total + scales * self.scale_bytes


@dataclass(frozen=True, slots=True)
class Weights:
    """Formats of a model's matrices.

    Attributes
    ----------
    format_of : format of a matrix, None where it stays unquantised
    pad_experts : (inner, hidden) width of one expert's part as the kernel wants it padded
    """

    format_of: Callable[[Matrix], Format | None]
    pad_experts: Pad | None = None


def padded_vocabulary(rows: int, tp: int) -> int:
    """Rows of an embedding on one of `tp` GPUs."""
    padded = math.ceil(rows / VOCAB_PADDING) * VOCAB_PADDING
    return math.ceil(padded / tp)


def matrix_bytes(matrix: Matrix, weights: Weights, split: Split, dtype_bytes: int, scaled: bool = True) -> float:
    """Bytes of a matrix on one GPU, with its scales or without."""
    chosen = None if matrix.plain else weights.format_of(matrix)
    value_bytes = matrix.value_bytes if matrix.value_bytes == 4 else dtype_bytes
    rows, columns, copies = matrix.rows, matrix.columns, float(matrix.copies)
    if matrix.cut == "vocab":
        rows = padded_vocabulary(rows, split.tp)
    elif matrix.cut == "kv":
        rows = max(1, matrix.heads // split.tp) * (rows // matrix.heads)
    elif matrix.cut == "tp":
        rows = math.ceil(rows / split.tp)
    elif matrix.cut == "experts":
        if split.expert_parallel:
            copies = math.ceil((matrix.copies + split.redundant_experts) / split.expert_gpus)
        else:
            rows = math.ceil(rows / split.expert_gpus)
        if chosen is not None and weights.pad_experts is not None:
            rows, columns = weights.pad_experts(rows, columns)
    one = rows * columns * value_bytes if chosen is None else chosen.bytes_of(rows, columns, scaled)
    return one * copies


def stage_of_layer(layers: int, pp: int, layer: int) -> int:
    """Pipeline stage of a layer: vLLM gives each an equal share, what is left over to the stages before the last."""
    ends = itertools.accumulate(stage_sizes(layers, pp))
    return next((stage for stage, end in enumerate(ends) if layer < end), pp - 1)


def stage_sizes(layers: int, pp: int) -> list[int]:
    """Layers of each stage."""
    sizes = [layers // pp] * pp
    left = layers % pp
    for stage in range(2, left + 2):
        sizes[-stage] += 1
    return sizes


def layer_of(name: str) -> int | None:
    """Number of the decoder's layer that a matrix belongs to, as in `model.layers.3.mlp.up_proj`; none of a tower."""
    if not name.startswith(DECODER_LAYERS):
        return None
    return int(name.removeprefix(DECODER_LAYERS).partition(".")[0])


def weight_bytes_by_stage(shape: ModelShape, weights: Weights, split: Split) -> list[float]:
    """Weight bytes of one GPU of each pipeline stage.

    Embeddings and towers lie on the first stage, the LM head and what drafts on the last, which has the embedding too
    if it is the head.
    """
    stages = [0.0] * split.pp
    for matrix in shape.matrices:
        size = matrix_bytes(matrix, weights, split, shape.dtype_bytes)
        for stage in stages_of(matrix, shape, split.pp):
            stages[stage] += size
    return stages


def stages_of(matrix: Matrix, shape: ModelShape, pp: int) -> tuple[int, ...]:
    """Pipeline stages that hold a matrix."""
    layer = layer_of(matrix.name)
    if matrix.name == "lm_head" or matrix.name.startswith(DRAFT):
        return (pp - 1,)
    if layer is not None:
        return (stage_of_layer(shape.layers, pp, layer),)
    return (0, pp - 1) if shape.tied and matrix.cut == "vocab" and pp > 1 else (0,)
