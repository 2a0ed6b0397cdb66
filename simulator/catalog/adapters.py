"""LoRA adapters as vLLM makes room for them, by the type of a model."""

from __future__ import annotations

from typing import Any

from simulator.catalog.quantity import read_yaml
from simulator.errors import InputError, Problem
from simulator.memory.adapters import Adapters
from simulator.memory.shape import ModelShape


def adapters_of(shape: ModelShape, slots: int, rank: int) -> Adapters:
    """Slots for adapters of a model.

    Raises
    ------
    InputError : a rank that vLLM does not have
    """
    data: dict[str, Any] = read_yaml("adapters.yaml")
    if rank not in data["ranks"]:
        known = ", ".join(str(each) for each in data["ranks"])
        raise InputError(Problem(f"vLLM has the ranks {known}", path="max_lora_rank", got=str(rank)))
    kind, embeddings = shape.model_type, data["embeddings"]
    return Adapters(
        slots=slots,
        rank=rank,
        embeds=kind in embeddings["both"] or kind in embeddings["first"],
        heads=kind in embeddings["both"],
        joined_experts=kind in data["joined_experts"],
        slices={**data["slices"], **data["slices_of"].get(kind, {})},
        left_alone=tuple(data["left_alone"]),
        cut_inputs=tuple(data["cut_inputs"]),
    )
