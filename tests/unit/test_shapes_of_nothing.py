"""Shapes that no model can have are refused with what they are; the nearest that a model can have is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from config_cases import LLAMA

from simulator.catalog.shapes.config import _refuse_empty, shape_from_config
from simulator.errors import InputError, Problem
from simulator.memory.shape import LayerCache, Matrix

SHAPE = shape_from_config("m", LLAMA)
FULL = LayerCache("full", heads=1, head_dim=1)


def told(**changes: Any) -> Problem | None:
    try:
        _refuse_empty(replace(SHAPE, **changes), "c.json")
    except InputError as error:
        (problem,) = error.problems
        return problem
    return None


@pytest.mark.parametrize(
    ("matrix", "got"),
    [
        (Matrix("odd", 0, 7, "tp"), "1 of 0 × 7"),
        (Matrix("odd", 7, 0, "tp"), "1 of 7 × 0"),
        (Matrix("odd", 5, 7, "tp", copies=0), "0 of 5 × 7"),
        (Matrix("odd", -1, 7, "tp", copies=3), "3 of -1 × 7"),
    ],
)
def test_a_matrix_of_nothing_is_named_with_its_sizes(matrix: Matrix, got: str) -> None:
    text = "a matrix of no size follows from these keys"
    assert told(matrices=(Matrix("fine", 1, 1, "tp"), matrix)) == Problem(text, "c.json", path="odd", got=got)
    assert told(matrices=(replace(matrix, name="rotary"), Matrix("fine", 1, 1, "tp"))) is None


@pytest.mark.parametrize(
    ("cache", "got"),
    [
        (replace(FULL, heads=0), "full: 0 heads of 1, 0 tokens"),
        (replace(FULL, head_dim=0), "full: 1 heads of 0, 0 tokens"),
        (replace(FULL, kind="window", heads=2), "window: 2 heads of 1, 0 tokens"),
        (replace(FULL, kind="chunk", reach=-3), "chunk: 1 heads of 1, -3 tokens"),
    ],
)
def test_a_cache_of_nothing_is_told_by_its_kind(cache: LayerCache, got: str) -> None:
    kind, _, sizes = got.partition(": ")
    text = f"a cache of no size follows from these keys ({kind})"
    assert told(caches=(FULL, cache)) == Problem(text, "c.json", got=sizes)


def test_what_keeps_one_token_of_one_value_or_a_state_is_taken() -> None:
    window = replace(FULL, kind="window", reach=1)
    assert told(caches=(FULL, window, replace(window, kind="chunk"), LayerCache("state", heads=0))) is None


def test_the_largest_model_and_the_longest_context_are_the_last_that_are_taken() -> None:
    assert told(matrices=(Matrix("all", 10**8, 10**7, "tp"),)) is None
    more = (Matrix("all", 10**8, 10**7, "tp"), Matrix("more", 10**6, 1, "tp", copies=10**6))
    assert told(matrices=more) == Problem("has more than 1e+15 weights", "c.json", got="1e+15")
    many = (Matrix("all", 10**5, 10**5, "tp", copies=10**6),)
    assert told(matrices=many) == Problem("has more than 1e+15 weights", "c.json", got="1e+16")
    assert told(context=1) is None
    assert told(context=2**31 - 1) is None
    for context, got in ((0, "0"), (2**31, "2,147,483,648")):
        text = "the longest context must be from 1 to 2,147,483,647 tokens"
        assert told(context=context) == Problem(text, "c.json", path="max_position_embeddings", got=got)
    long = told(context=-(10**80))
    assert long is not None
    assert long.got == f"{-(10**80):,}"[:60]
