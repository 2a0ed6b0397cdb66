"""What torch's allocator holds for tensors beyond their bytes (`should_split` and `get_allocation_size` of its
`CUDACachingAllocator.cpp`)."""

from __future__ import annotations

import math
from collections import defaultdict

from simulator.memory.shape import ModelShape
from simulator.memory.weights import Weights, matrix_bytes, stages_of
from simulator.perf.device import Split
from simulator.units import BYTES_PER_MIB

OWN_SEGMENT = 10 * BYTES_PER_MIB
"""Tensors from this size on have a segment of memory of their own; smaller ones share segments."""
SEGMENT_STEP = 2 * BYTES_PER_MIB
LEAST_REST = BYTES_PER_MIB
"""A rest of a segment that is no larger stays with its tensor."""
JOINED = {
    "q_proj": "qkv_proj",
    "k_proj": "qkv_proj",
    "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
    "q_a_proj": "fused_qkv_a_proj",
    "kv_a_proj_with_mqa": "fused_qkv_a_proj",
    "in_proj_qkv": "in_proj_qkvz",
    "in_proj_z": "in_proj_qkvz",
}
"""Matrices that vLLM loads into one tensor (`packed_modules_mapping` of its models)."""


def tensor_of(name: str) -> str:
    """Name of the tensor that holds a matrix of the checkpoint."""
    before, dot, last = name.rpartition(".")
    return before + dot + JOINED.get(last, last)


def unused_bytes(size: float, unsplit_from: float) -> float:
    """Bytes of a tensor's segment beyond the tensor, where they are not split off for others.

    Parameters
    ----------
    unsplit_from : size from which on no segment is split (`max_split_size_mb`)
    """
    if size < OWN_SEGMENT:
        return 0.0
    rest = math.ceil(size / SEGMENT_STEP) * SEGMENT_STEP - size
    return rest if size >= unsplit_from or rest <= LEAST_REST else 0.0


def unused_by_stage(shape: ModelShape, weights: Weights, split: Split, unsplit_from: float) -> list[float]:
    """The same of all weights of one GPU of each pipeline stage."""
    tensors: defaultdict[tuple[int, str], float] = defaultdict(float)
    for matrix in shape.matrices:
        size = matrix_bytes(matrix, weights, split, shape.dtype_bytes, scaled=False)
        for stage in stages_of(matrix, shape, split.pp):
            tensors[stage, tensor_of(matrix.name)] += size
    stages = [0.0] * split.pp
    for (stage, _), size in tensors.items():
        stages[stage] += unused_bytes(size, unsplit_from)
    return stages
