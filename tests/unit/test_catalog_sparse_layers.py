"""Which layers of a mixture have experts, by each way in which published configurations say it."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.catalog.shapes.config import Config
from simulator.catalog.shapes.families import is_sparse


@pytest.mark.parametrize(
    ("told", "sparse"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"decoder_sparse_step": 1}, [0, 1, 2, 3, 4, 5]),
        ({"decoder_sparse_step": 2}, [1, 3, 5]),
        ({"interleave_moe_layer_step": 3}, [2, 5]),
        ({"moe_layer_interval": 4}, [3]),
        ({"first_k_dense_replace": 2}, [2, 3, 4, 5]),
        ({"first_k_dense_replace": 1, "decoder_sparse_step": 3}, [2, 5]),
        ({"mlp_only_layers": [0, 4]}, [1, 2, 3, 5]),
        ({"moe_layers": [1, 4], "decoder_sparse_step": 5}, [1, 4]),
        ({"moe_layers_enum": "3, 5"}, [3, 5]),
    ],
)
def test_experts_are_in_every_nth_layer_behind_the_dense_ones(told: dict[str, Any], sparse: list[int]) -> None:
    config = Config(told, None)
    assert [layer for layer in range(6) if is_sparse(config, layer)] == sparse
