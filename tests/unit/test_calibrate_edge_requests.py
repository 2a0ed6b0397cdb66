"""Random requests at the limits of an engine: how often each kind comes, and that all of them fit."""

from __future__ import annotations

import numpy as np
import pytest

from calibrate.experiments.edge_requests import edge_rows

ENGINE = {"block_size": 16, "max_num_batched_tokens": 64}
MOST = 150


@pytest.mark.parametrize("capacity", [40, 20_000])
def test_answers_have_one_token_or_as_many_as_fit_as_often_as_is_said(capacity: int) -> None:
    """A fifth has one token and 0.15 as many as fit; of the others, of 1.5 to 40 in the mean, some by chance."""
    rows = [
        row for seed in range(60) for row in edge_rows(np.random.default_rng(seed), seed % 2 == 0, ENGINE, capacity)
    ]
    prompts = np.array([sum(tokens for _, tokens in row["prompt"]) for row in rows])
    osl, most = np.array([row["osl"] for row in rows]), np.minimum(capacity - prompts, MOST)
    assert prompts.min() == 1
    assert (osl >= 1).all()
    assert (osl <= np.maximum(most, 1)).all()
    if capacity > 1000:
        assert 0.13 < (osl == most).mean() < 0.22
        assert 0.2 < (osl == 1).mean() < 0.6
    assert {row["priority"] for row in rows} == {0, 1, 2}
