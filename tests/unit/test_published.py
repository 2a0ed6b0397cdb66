"""Tables of published results made from checkouts of their sources."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.published import __main__ as published
from calibrate.sections import write_section
from calibrate.serving.measured import Burst, ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.read import read_tables

RESULT = """    Successful requests:                     {requests}
    Total input tokens:                      {isl}
    Total generated tokens:                  {osl}
    Output token throughput (tok/s):         {speed}
    Mean TPOT (ms):                          30.5
    Median ITL (ms):                         {itl}
"""
PAGE = """# Title

### Engine Version

- vLLM: v0.11.0
- SGLang: v0.5

### Results

vLLM
??? info "Serving script"
    ```bash
    # needs two
    VLLM_X=1 vllm serve Qwen/Qwen3-14B
    vllm serve Qwen/Qwen3-14B -tp 2 \\
      --max-num-seqs=64 --enable-expert-parallel
    ```

??? info "Benchmark result"
    ```
    # first
{first}
    # second
{second}
    ```

??? info "Serving script"
    ```bash
    vllm serve Qwen/Qwen3-14B-FP8 --async-scheduling
    ```

    ```
    # --max-num-batched-tokens 4096
{third}
    ```

SGLang
    ```bash
    python3 -m sglang.launch_server --model-path Qwen/Qwen3-14B
    ```

    ```
{fourth}
    ```
"""
GUIDED = """### Model

- zai-org/GLM-4.6

- vLLM v0.17.1

##### Long

```yaml
request_rate: 2
```

#### vLLM

- Profile: `Long`
  ```bash
  --tensor-parallel-size=8
  --reasoning-parser=glm
  ```

    ```
{one}
    Mean Latency(s):                          2.5
    ```
"""


def result(requests: int, isl: int, osl: int, speed: str, itl: str = "29.9") -> str:
    return RESULT.format(requests=requests, isl=requests * isl, osl=requests * osl, speed=speed, itl=itl)


def made(source: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, MeasuredRow]:
    """The source's table, as `verify gpu` reads it."""
    out = checkout / "tables"
    monkeypatch.setattr(sys, "argv", ["published", source, str(checkout), "--out", str(out)])
    published.main()
    table = read_tables([out / f"{source}_points.csv"])
    assert not table.excluded
    return {row.row_id: row for row in table.rows}


def test_a_page_gives_a_row_for_each_result_of_vllm_with_what_its_command_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs/performance-lab/qwen3-14b"
    folder.mkdir(parents=True)
    results = [result(1000, 217, 201, "10.0"), result(500, 2000, 100, "20.0"), result(9, 32000, 100, "30.0")]
    first, second, third = results
    page = PAGE.format(first=first, second=second, third=third, fourth=result(7, 128, 4, "40.0"))
    (folder / "a100.md").write_text(page, encoding="utf-8")
    (folder / "h100.md").write_text(page, encoding="utf-8")
    (folder / "h200.md").write_text(GUIDED.format(one=result(100, 32000, 100, "9.0", itl="0.00")), encoding="utf-8")
    rows = made("gpustack", tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert "set by VLLM_X" in said
    assert "2 left out: the same figures on another page" in said
    assert "2 left out: another engine" in said
    second_row, third_row, guided = rows.values()
    assert (second_row.tp, second_row.gpus, second_row.gpu, second_row.engine_version) == (2, 2, "a100-80", "0.11.0")
    assert (second_row.isl, second_row.osl, second_row.workload, second_row.load) == (2000, 100, "random", Burst())
    assert (second_row.limits, second_row.expert_parallel) == ({"max_num_seqs": 64}, True)
    assert second_row.figures == {("throughput", "output"): 20.0, ("tpot", "mean"): 0.0305, ("itl", "p50"): 0.0299}
    assert (third_row.limits, third_row.async_scheduling) == ({"max_num_batched_tokens": 4096}, True)
    assert third_row.num_requests == 9
    assert (guided.model, guided.tp, guided.load) == ("glm-4.6", 8, OpenLoop(2.0, "constant"))
    assert guided.figures == {("throughput", "output"): 9.0, ("e2e", "mean"): 2.5}, "several tokens came at once"


def test_batches_that_mostly_decode_are_rows_of_the_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one: dict[str, Any] = {
        "model_id": "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
        "gpu_model": "H100",
        "num_gpus": 4,
        "weight_precision": "fp8",
        "tensor_parallel": 1,
        "expert_parallel": 4,
        "data_parallel": 1,
        "max_num_seqs": 32,
        "avg_batch_size": 31.0,
        "avg_output_len": 620.0,
        "median_itl_ms": 25.5,
    }
    busy = {**one, "avg_batch_size": 156.0}
    ranks = {**one, "data_parallel": 4}
    folder = tmp_path / "public/data/tasks"
    folder.mkdir(parents=True)
    for task in ("lm-arena-chat", "gpqa", "sourcegraph-fim"):
        kept = [busy, one, ranks] if task == "gpqa" else []
        (folder / f"{task}.json").write_text(json.dumps({"configurations": kept}), encoding="utf-8")
    split, shared = made("mlenergy", tmp_path, monkeypatch).values()
    assert "1 left out: prompts in more than a quarter" in capsys.readouterr().out
    assert (split.tp, split.dp, split.gpus, split.expert_parallel) == (4, 1, 4, True)
    assert (shared.tp, shared.dp, shared.gpus) == (1, 4, 4)
    assert (split.load, split.figures, split.limits) == (
        ClosedLoop(32),
        {("tpot", "p50"): 0.0255},
        {"max_num_seqs": 32},
    )


def test_every_request_of_a_run_makes_one_row_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bench/examples/RTX4090/Llama-3.1-8B/vllm"
    folder.mkdir(parents=True)
    engine = {"tensor_parallel_size": 1, "max_num_seqs": 256, "max_model_len": None}
    meta = {"model": "meta-llama/Llama-3.1-8B", "vllm_version": "0.19.0", "engine_kwargs": engine}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    lines = [
        {"input_toks": 100 * k, "output_toks": 11, "arrival_time": 1.7e9 + k, "queued_ts": 50.0 + k}
        | {"first_token_ts": 50.2 + k, "last_token_ts": 51.2 + k}
        for k in (1, 2, 3)
    ]
    (folder / "requests.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    (row,) = made("llmservingsim", tmp_path, monkeypatch).values()
    assert (row.load, row.num_requests, row.limits) == (OpenLoop(1.5, "poisson"), 3, {"max_num_seqs": 256})
    assert (row.isl, row.isl_cv, row.osl, row.osl_cv) == (200, 0.5, 11, 0)
    assert row.figures["ttft", "p50"] == pytest.approx(0.2)
    assert row.figures["tpot", "mean"] == pytest.approx(0.1)
    assert row.figures["e2e", "p99"] == pytest.approx(1.2)
    assert row.figures["throughput", "total"] == pytest.approx((600 + 33) / 3.2, rel=1e-4)


def test_an_older_table_stays_where_a_newer_one_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mlenergy_points.csv"
    table.write_text("older")

    def rows(checkout: Path, left_out: Counter[str]) -> list[dict[str, object]]:
        return [{"row_id": "first"}, {"row_id": _Interrupts()}]

    monkeypatch.setitem(published.SOURCES, "mlenergy", SimpleNamespace(rows=rows, URL=""))
    monkeypatch.setattr(sys, "argv", ["published", "mlenergy", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        published.main()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(table.name, "older")]


class _Interrupts:
    def __str__(self) -> str:
        raise KeyboardInterrupt


def refused(source: str, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a checkout of which no table is made; an older table stays as it was."""
    out = checkout / "tables"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{source}_points.csv").write_text("older")
    monkeypatch.setattr(sys, "argv", ["published", source, str(checkout), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        published.main()
    assert end.value.code == 2
    assert (out / f"{source}_points.csv").read_text() == "older"
    return capsys.readouterr().err


@pytest.mark.parametrize("source", list(published.SOURCES))
def test_a_folder_that_is_no_checkout_of_the_source_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(source, tmp_path, monkeypatch, capsys)
    assert str(tmp_path) in said
    assert "work tree" in said


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "not in the checkout"),
        (POINTER, "is its large file fetched"),
        ('{"configurations": [{"model_id": "a"}]}', "has no 'avg_batch_size'"),
        ('{"rows": []}', "has no 'configurations'"),
        ("[]", "is not as the source writes it"),
    ],
)
def test_a_broken_file_of_the_leaderboard_is_named(
    text: str | None,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "public/data/tasks"
    folder.mkdir(parents=True)
    (folder / "lm-arena-chat.json").write_text('{"configurations": []}')
    if text is not None:
        (folder / "gpqa.json").write_text(text)
    said = refused("mlenergy", tmp_path, monkeypatch, capsys)
    assert str(folder / "gpqa.json") in said
    assert problem in said


@pytest.mark.parametrize(
    ("answers", "meta", "named"),
    [
        (None, "{}", "requests.jsonl"),
        (POINTER, "{}", "requests.jsonl"),
        ('{"input_toks": 1}\n{"input_toks": 2}', "{}", "meta.json"),
    ],
)
def test_a_broken_run_of_the_bench_is_named(
    answers: str | None,
    meta: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "bench/examples/RTX4090/Llama-3.1-8B/vllm"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(meta)
    if answers is not None:
        (folder / "requests.jsonl").write_text(answers)
    assert str(folder / named) in refused("llmservingsim", tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    "command", ["vllm serve Qwen/Qwen3-14B --seed", "vllm serve ", "vllm serve 'Qwen/Qwen3-14B", "vllm serve a -tp"]
)
def test_a_command_that_breaks_off_leaves_its_result_out_alone(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "docs/performance-lab/qwen3-14b"
    folder.mkdir(parents=True)
    head = "- vLLM: v0.11.0\n\nvLLM\n"
    block = "```bash\n{}\n```\n\n```\n{}\n```\n"
    failed = block.format("vllm serve Qwen/Qwen3-14B", result(0, 1, 1, "30.0"))
    whole = block.format("vllm serve Qwen/Qwen3-14B", result(9, 2000, 100, "20.0"))
    broken = block.format(command, result(5, 1000, 100, "10.0"))
    (folder / "h100.md").write_text(head + broken + failed + whole)
    (row,) = made("gpustack", tmp_path, monkeypatch).values()
    assert row.num_requests == 9
    said = capsys.readouterr().out
    assert "1 left out: a command that breaks off" in said
    assert "1 left out: no request succeeded" in said


def test_prose_of_a_generated_section_is_wrapped_and_its_tables_are_not(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    row = "| " + "wide " * 40 + "|"
    prose, items = "words " * 40, f"- {'first ' * 30}\n- second"
    write_section(path, "<!-- a -->", "<!-- /a -->", f"### Head\n\n{prose}\n\n{row}\n{row}\n\n{items}\n", "# T\n")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines.count(row.strip()) == 2 or lines.count(row) == 2
    assert all(len(line) <= 100 for line in lines if not line.startswith("|"))
    assert "- second" in lines
    assert sum(line.startswith("  first") for line in lines) >= 1
