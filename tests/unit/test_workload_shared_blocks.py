"""What prompts share is found on disk as a walk through all of them in order of time finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.rng import stream
from simulator.workload import pieces, shared_blocks, spool, trace_file
from simulator.workload.describe import describe_file
from simulator.workload.reading import AS_IT_SAYS
from simulator.workload.traces import TRACE_SOURCES

N = 900
TOKENS = 16
Row = dict[str, Any]


def _rows() -> list[Row]:
    """Conversations, most with one system prompt, some blocks twice in a prompt, some prompts bare, some late."""
    draw = stream(1, "rows")
    talks: list[list[Any]] = []
    rows: list[Row] = []
    for k in range(N):
        if talks and draw.random() < 0.5:
            talk = talks[draw.integers(max(len(talks) - 40, 0), len(talks))]
        else:
            talk = [0, "ffee0011"] if draw.random() < 0.8 else []
            talks.append(talk)
        talk += [int(draw.integers(0, 2**64, dtype=np.uint64)) for _ in range(draw.integers(0, 4))]
        if talk and draw.random() < 0.1:
            talk += [talk[int(draw.integers(len(talk)))], -int(draw.integers(2**62)), 2**70 + k]
        tokens = TOKENS * len(talk) + int(draw.integers(1, TOKENS))
        rows.append({"arrival_s": k // 3 * 0.5, "input_tokens": tokens, "output_tokens": 5, "hash_ids": list(talk)})
    for k in draw.choice(N - 9, 200, replace=False):
        rows[k], rows[k + 8] = rows[k + 8], rows[k]
    return rows


def _walked(rows: list[Row]) -> dict[str, Any]:
    """By hand: the last prompt, in order of time, that had each block."""
    ordered = sorted(rows, key=lambda row: row["arrival_s"])
    often: dict[str, int] = {}
    for row in ordered:
        for block in row["hash_ids"]:
            often[str(block)] = often.get(str(block), 0) + 1
    last: dict[str, float] = {}
    depths, lags = [], []
    for row in ordered:
        blocks = [str(block) for block in row["hash_ids"]]
        depth = next((k for k, block in enumerate(blocks) if block not in last), len(blocks))
        depths.append(depth)
        if depth and often[blocks[depth - 1]] <= N / 2:
            lags.append(row["arrival_s"] - last[blocks[depth - 1]])
        last |= dict.fromkeys(blocks, row["arrival_s"])
    roots = [str(row["hash_ids"][0]) for row in rows if row["hash_ids"]]
    return {
        "block_tokens": TOKENS,
        "block_hit_ratio": round(sum(depths) / sum(len(row["hash_ids"]) for row in rows), 4),
        "prompts_with_hit": round(sum(depth > 0 for depth in depths) / N, 4),
        "prompts_continuing_another": round(len(lags) / N, 4),
        "distinct_first_blocks": len({*roots}),
        "largest_first_block_share": round(max(map(roots.count, {*roots})) / N, 4),
        "lag_s": [pytest.approx(float(np.quantile(lags, k / 40)), abs=0.0006) for k in range(41)],
        "depths": sorted(zip((row["input_tokens"] for row in ordered), depths, strict=True)),
    }


@pytest.mark.parametrize("rows_of_a_piece", [64, N])
def test_sharing_is_that_of_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of_a_piece: int) -> None:
    rows = _rows()
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(pieces, "_JSON_ROWS", rows_of_a_piece)
    monkeypatch.setattr(spool, "_VECTORS", 1)
    found, was_read = describe_file(file, AS_IT_SAYS, TRACE_SOURCES[0], "2026-01-01")
    assert was_read.hash_block_tokens == TOKENS
    walked = _walked(rows)
    depth = found["prefix"].pop("depth")
    depths = walked.pop("depths")
    assert found["prefix"] == walked
    assert 0.2 < walked["prompts_continuing_another"] < walked["prompts_with_hit"] - 0.1
    cells = np.searchsorted(depth["isl_edges"], [isl for isl, _ in depths], side="right") - 1
    deep = np.searchsorted(depth["blocks_edges"], [each for _, each in depths], side="right") - 1
    counted = {pair: int(n) for pair, n in zip(*_unique(cells, deep), strict=True)}
    assert counted == dict(zip(zip(depth["isl_cell"], depth["blocks_cell"], strict=True), depth["count"], strict=True))


def _unique(one: Any, other: Any) -> tuple[list[tuple[int, int]], Any]:
    pairs, count = np.unique(np.stack([one, other]), axis=1, return_counts=True)
    return [(int(a), int(b)) for a, b in pairs.T], count


def test_no_row_of_a_file_with_hashes_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in _rows()), encoding="utf-8")
    monkeypatch.setattr(trace_file, "_built", lambda *_: pytest.fail("the rows are held in memory"))
    seen = []
    add = shared_blocks.SharedBlocks.add
    monkeypatch.setattr(
        shared_blocks.SharedBlocks, "add", lambda self, *rows: (seen.append(len(rows[0])), add(self, *rows))
    )
    monkeypatch.setattr(pieces, "_JSON_ROWS", 100)
    describe_file(file, AS_IT_SAYS, TRACE_SOURCES[0], "2026-01-01")
    assert seen == [100] * (N // 100)
