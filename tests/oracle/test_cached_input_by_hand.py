"""What six calls pay at offers of one's own that remember prompts, worked out by hand from their price lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from money_scenarios import courses

MONTH = 730 * 3600 / 60
"""A month of minutes, each as the one that is simulated."""
TRACE = """arrival_s,input_tokens,output_tokens,hash_ids
0,350,10,1 2 3
4,350,10,1 2 3
9,250,10,1 2
16,350,10,1 2 3
40,350,10,1 2 3
45,100,10,1
"""
"""Blocks of 100 tokens: 1,750 prompt tokens, 60 of answers. At 16 s blocks 1 and 2 were last told 7 s ago, 3 12 s."""
PLAIN = {"input": 1.0, "cached_input": 0.1, "output": 2.0}
WRITES = PLAIN | {"cache_write": 1.25}
LONG = {"above_tokens": 300, "input": 2.0, "cached_input": 0.4, "output": 3.0}
CASES = {
    "ten seconds: 300, 200, 200 and 100 are found": (
        {"prices": [PLAIN], "cache": {"life_s": 10}},
        {"input": 950 * 1.0, "cached input": 800 * 0.1, "output": 60 * 2.0},
    ),
    "and 300, 100 and 300 are put there": (
        {"prices": [WRITES], "cache": {"life_s": 10}},
        {"input": 250 * 1.0, "cached input": 800 * 0.1, "cache write": 700 * 1.25, "output": 60 * 2.0},
    ),
    "250 at least: 300 are found once, and put there at 0, 16 and 40 s": (
        {"prices": [WRITES], "cache": {"life_s": 10, "least_tokens": 250}},
        {"input": 550 * 1.0, "cached input": 300 * 0.1, "cache write": 900 * 1.25, "output": 60 * 2.0},
    ),
    "half a minute in steps of 128: 256, 128, 256 and 256 of 256": (
        {"prices": [WRITES], "cache": {"life_s": 30, "step_tokens": 128}},
        {"input": 598 * 1.0, "cached input": 896 * 0.1, "cache write": 256 * 1.25, "output": 60 * 2.0},
    ),
    "no cache": (
        {"prices": [WRITES], "cache": {"life_s": 0}},
        {"input": 1750 * 1.0, "output": 60 * 2.0},
    ),
    "prompts above 300 tokens at prices of their own": (
        {"prices": [PLAIN, LONG], "cache": {"life_s": 10}},
        {"input": 50 * 1.0 + 900 * 2.0, "cached input": 300 * 0.1 + 500 * 0.4, "output": 20 * 2.0 + 40 * 3.0},
    ),
    "less a tenth, and half of it in the tier, whose cached input costs as much": (
        {
            "prices": [PLAIN],
            "cache": {"life_s": 10},
            "price_scale": 0.9,
            "service_tiers": {"flex": {"price_factor": {"input": 0.5, "output": 0.5}}},
        },
        {"input": 950 * 0.45, "cached input": 800 * 0.09, "output": 60 * 0.9},
    ),
    "a cached price without a cache is of no use, nor a cache without one": (
        {"prices": [{"input": 1.0, "output": 2.0}], "cache": {"life_s": 10}},
        {"input": 950 * 1.0, "cached input": 800 * 1.0, "output": 60 * 2.0},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_calls_pay_what_their_prompts_find(name: str, tmp_path: Path) -> None:
    offer, expected = CASES[name]
    trace = tmp_path / "calls.csv"
    trace.write_text(TRACE, encoding="utf-8")
    (found,) = courses(scenario(trace, offer)).values()
    lines = {line.part: float(line.usd) for line in found.priced.bill.lines}
    assert lines == pytest.approx({part: usd / 1e6 * MONTH for part, usd in expected.items()}, rel=1e-9)


def scenario(trace: Path, offer: dict[str, Any]) -> dict[str, Any]:
    calls = {"name": "calls", "data_classes": ["public"], "ttft_s": {"median": 0.4}, "tpot_s": {"median": 0.01}}
    arrivals = {"kind": "trace", "file": str(trace), "format": "table", "hash_block_tokens": 100}
    tier = "flex" if "service_tiers" in offer else "standard"
    chat = {"name": "chat", "arrivals": arrivals, "data_class": "public", "service_tier": tier}
    return {
        "schema_version": 1,
        "name": "cached",
        "model": "llama-3.1-8b-instruct",
        "workload": {"classes": [chat | {"slo": {"e2e_s": {"p90": 60}}}]},
        "topologies": {"api": {"providers": [calls | {"error_probability": 0.0} | offer]}},
        "study": {"months": 3},
        "cost": {"draws": 0},
        "run": {"horizon_s": 60, "keep_requests": False},
    }
