"""What follows from the nouns of use: sums of stages and of tokens, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import pool, provider

from simulator.study.fleet import ColdStart
from simulator.study.usage import ProviderUsage, Usage

THROWN = np.array([[5, 1], [2, 8]])
"""Of two classes: 7 tokens of prompts, 9 of answers."""


def api(name: str = "api") -> ProviderUsage:
    """Two classes: 100 + 20 + 3 + 50 and 10 + 4 + 0 + 6 tokens; 7 + 1 + 2 + 30 more of calls that failed."""
    return provider([[[100, 20, 3, 50]], [[10, 4, 0, 6]]], name, [[[7, 1, 2, 0]], [[0, 0, 0, 30]]])


def test_a_cold_start_is_as_long_as_its_stages_together() -> None:
    assert ColdStart(1000.0, 200.0, 30.0, 4.0).total_s == 1234.0


def test_tokens_of_a_token_api() -> None:
    assert api().delivered_tokens == (100 + 20 + 3 + 10 + 4, 50 + 6)
    assert replace(api(), thrown_tokens=THROWN).delivered_tokens == (137 - 7, 56 - 9)
    assert api().processed_tokens == (137 + 7 + 1 + 2, 24 + 1, 56 + 30)


def test_tokens_of_pools_stand_before_those_of_token_apis() -> None:
    a_pool = replace(pool(), input_tokens=900, cached_tokens=80, output_tokens=400)
    usage = Usage(
        3600.0, (replace(a_pool, thrown_tokens=THROWN), a_pool), (api(), replace(api(), thrown_tokens=THROWN))
    )
    assert usage.processed_tokens.tolist() == [[900, 80, 400], [900, 80, 400], [147, 25, 86], [147, 25, 86]]
    assert usage.delivered_tokens.tolist() == [[893, 391], [900, 400], [137, 56], [130, 47]]
    assert Usage(1.0, (), ()).delivered_tokens.shape == (0, 2)
    assert replace(usage, start_s=600.0).span_s == 3000.0


@pytest.mark.parametrize(("fresh", "output", "share"), [(820, 400, 1.0), (205, 100, 0.25), (900, 400, 1.0)])
def test_the_share_of_scheduled_tokens_that_work_was_computed_for(fresh: int, output: int, share: float) -> None:
    """900 prompt tokens, 80 of them cached, and 400 of answers: 1,220 were scheduled."""
    a_pool = replace(pool(), input_tokens=900, cached_tokens=80, output_tokens=400)
    assert replace(a_pool, work=np.array([[9, fresh, 9, output, 9, 9]])).work_share == share
    assert replace(a_pool, input_tokens=80, output_tokens=0).work_share == 0.0
