"""What is told beside a memory plan: versions that were not read, and what a start has that compiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simulator.catalog.vllm import newest_version
from simulator.cli.memory_text import print_rows
from simulator.resolve.memory import answer
from simulator.resolve.memory_log import compare
from simulator.resolve.memory_notes import notes_of_plan, notes_of_version
from simulator.resolve.memory_question import Question
from simulator.resolve.memory_table import read_rows

QWEN_8B = Question("qwen3-8b", "rtx-5090", max_model_len=32768, version="0.24.0")


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, 0),
        ("0.8.5", 0),
        (newest_version(), 0),
        ("0.33.0rc2.dev4+g1", 0),
        ("0.33.1", 1),
        ("0.99.0", 1),
        ("1.0", 1),
    ],
)
def test_a_version_newer_than_all_that_were_read_is_said(version: str | None, told: int) -> None:
    notes = notes_of_version(version)
    assert len(notes) == told
    assert all(newest_version() in note and str(version) in note for note in notes)
    asked = replace(QWEN_8B, version=version, enforce_eager=True)
    assert notes_of_plan(answer(asked)) == notes


def test_a_first_start_finds_less_from_the_version_on_that_compiles_within_its_profile() -> None:
    """89,040 tokens at the first start of Qwen3 8B on an RTX 5090 with 0.24.0, and 95,936 at the next."""
    plan = answer(QWEN_8B).plan
    assert plan.kv_tokens == pytest.approx(95936, rel=0.012)
    (note,) = notes_of_plan(answer(QWEN_8B))
    assert "0.9 GiB less" in note
    assert "refuse" not in note
    per_token = plan.terms.kv_bytes / plan.kv_tokens
    assert plan.kv_tokens - 1.0e9 / per_token == pytest.approx(89040, rel=0.015)


@pytest.mark.parametrize(
    "changes", [{"version": "0.20.0"}, {"enforce_eager": True}, {"kv_cache_memory_bytes": 10 * 2**30}]
)
def test_a_first_start_is_as_others_where_nothing_compiles_or_nothing_is_measured(changes: dict[str, object]) -> None:
    found = answer(replace(QWEN_8B, **changes))
    assert found.plan.fits
    assert not notes_of_plan(found)


def test_a_first_start_that_may_be_refused_is_told() -> None:
    """At 0.7 a request of 40,960 tokens (5.63 GiB) fits in 6.4 GiB, and not in what a first start finds."""
    found = answer(replace(QWEN_8B, max_model_len=40960, gpu_memory_utilization=0.7))
    assert found.plan.fits
    assert ["refuse max_model_len 40,960" in note for note in notes_of_plan(found)] == [True]


def test_a_processors_own_memory_is_told_by_its_own_note() -> None:
    (note,) = notes_of_plan(answer(replace(QWEN_8B, gpu="gb10", version="0.27.1")))
    assert "share one memory" in note


@pytest.mark.parametrize(
    ("version", "line", "told"),
    [
        ("0.24.0", "Compiling a graph for compile range (1, 2048) takes 9.43 s", 1),
        ("0.24.0", "Directly load the compiled graph(s) for compile range (1, 2048) from the cache, took 1.9 s", 0),
        ("0.20.0", "Compiling a graph for compile range (1, 2048) takes 9.43 s", 0),
    ],
)
def test_a_log_of_a_start_that_compiled_is_told_to_be_one(tmp_path: Path, version: str, line: str, told: int) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(
        f"Initializing a V1 LLM engine (v{version}) with config: x\n[backends.py:393] {line}\n"
        "[gpu_worker.py:515] Available KV cache memory: 12.23 GiB\n"
    )
    notes = compare(log, replace(QWEN_8B, version=None)).left_out
    assert ["first start" in note for note in notes] == [True] * told


def test_a_table_is_told_once_what_is_not_known_of_a_version(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("model,gpu,version\n" + "qwen3-8b,l40s,0.99.0\n" * 2 + "qwen3-8b,l40s,0.24.0\n")
    print_rows(read_rows(table), "json")
    printed = capsys.readouterr()
    assert printed.err.count("0.99.0") == 1
    assert "read up to" not in printed.out
