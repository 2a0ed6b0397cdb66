"""Room for LoRA adapters: what vLLM makes beside each matrix for every slot, whether or not an adapter is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.memory.shape import BUFFERS, Matrix, ModelShape
from simulator.memory.weights import DRAFT, layer_of, stage_of_layer
from simulator.perf.device import Split


@dataclass(frozen=True, slots=True)
class Adapters:
    """Slots of LoRA adapters.

    Attributes
    ----------
    slots, rank : vLLM's `max_loras` and `max_lora_rank`
    embeds, heads : the model's class has adapters of its embedding, of its head
    joined_experts : gate and up projection of an expert have one matrix A
    slices : matrices A of one of the model's, where they are not one, by the end of its name
    left_alone : parts of names of matrices without an adapter
    cut_inputs : ends of names of matrices whose inputs tensor parallelism divides, and not their outputs
    """

    slots: int
    rank: int
    embeds: bool = False
    heads: bool = False
    joined_experts: bool = False
    slices: Mapping[str, int] = field(default_factory=dict)
    left_alone: tuple[str, ...] = ()
    cut_inputs: tuple[str, ...] = ()


def adapter_bytes_by_stage(shape: ModelShape, adapters: Adapters | None, split: Split) -> list[float]:
    """Bytes of the slots on one GPU of each pipeline stage.

    .. math:: 2 s r \\left(n\\, n_{in} + n_{out}\\right)

    of a matrix, with `s` slots of rank `r` and `n` matrices A; tensor parallelism divides
    B of most and A of those whose inputs it cuts (`lora/layers`, vLLM 0.33.0).
    """
    stages = [0.0] * split.pp
    if adapters is None:
        return stages
    for matrix in shape.matrices:
        values = _values(matrix, adapters, split)
        layer = layer_of(matrix.name)
        stage = 0 if layer is None else stage_of_layer(shape.layers, split.pp, layer)
        stages[stage] += values
    stages[0] += adapters.embeds * (shape.vocab + shape.hidden)
    stages[-1] += adapters.heads * (shape.vocab + shape.hidden)
    return [values * adapters.slots * adapters.rank * shape.dtype_bytes for values in stages]


def _values(matrix: Matrix, adapters: Adapters, split: Split) -> float:
    """Inputs of A and outputs of B of one matrix, for each value of the rank."""
    left = matrix.columns == 1 or matrix.cut == "vocab" or matrix.name.endswith(BUFFERS)
    if left or matrix.name.startswith(DRAFT) or any(part in matrix.name for part in adapters.left_alone):
        return 0.0
    if matrix.cut == "experts":
        return _of_experts(matrix, adapters, split)
    slices = next((count for end, count in adapters.slices.items() if matrix.name.endswith(end)), 1)
    rows, columns = matrix.rows, matrix.columns
    if matrix.cut == "kv":
        rows = max(1, matrix.heads // split.tp) * (rows // matrix.heads)
    elif matrix.cut == "tp" and matrix.name.endswith(adapters.cut_inputs):
        columns = math.ceil(columns / split.tp)
    elif matrix.cut == "tp":
        rows = math.ceil(rows / split.tp)
    return float(slices * columns + rows)


def _of_experts(matrix: Matrix, adapters: Adapters, split: Split) -> float:
    """Of all experts on a GPU; their rows are the width of one, whichever way they are multiplied."""
    copies = float(matrix.copies)
    inner = matrix.rows
    if split.expert_parallel:
        copies = math.ceil((matrix.copies + split.redundant_experts) / split.expert_gpus)
    else:
        inner = math.ceil(inner / split.expert_gpus)
    read = 0 if adapters.joined_experts and matrix.name.endswith("up_proj") else matrix.columns
    return copies * (inner + read)
