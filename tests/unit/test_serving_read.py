"""Reading tables of published serving results."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from calibrate.serving.front_end import service_s
from calibrate.serving.measured import Burst, ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.names import NotSupported, gpu_name, model_name, weight_format
from calibrate.serving.read import read_tables
from calibrate.serving.sources import engine_limits, engine_version, length_spreads, source_of
from simulator.errors import InputError

DATA = Path(__file__).parents[1] / "data" / "serving"


def rows() -> dict[str, MeasuredRow]:
    return {row.row_id: row for row in read_tables([DATA / "points.csv"]).rows}


def changed(folder: Path, row_id: str, **cells: str) -> Path:
    """The table with some cells of one row changed."""
    with (DATA / "points.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if line["row_id"] == row_id:
            line.update(cells)
    path = folder / "changed.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_figures_are_in_seconds_and_names_are_the_catalogs() -> None:
    row = rows()["open"]
    assert (row.model, row.gpu, row.dtype) == ("llama-3.1-8b", "h100-sxm", "bf16")
    assert row.figures["ttft", "p50"] == 0.028
    assert row.figures["tpot", "mean"] == 0.008
    assert row.figures["throughput", "total"] == 2000
    assert row.prefix_caching is False
    assert row.place == "points.csv:2"


def test_loads() -> None:
    found = rows()
    assert found["open"].load == OpenLoop(4.0, "poisson")
    assert found["closed"].load == ClosedLoop(8)
    assert found["burst"].load == Burst()
    assert found["constant"].load == OpenLoop(2.0, "constant")


def test_a_client_that_counts_otherwise_and_requests_that_failed() -> None:
    found = rows()
    assert found["constant"].generated_tokens == 220
    assert found["constant"].osl == 217
    assert found["burst"].num_requests == 20


def test_a_result_that_two_tables_have_counts_once(tmp_path: Path) -> None:
    """Rounded in one of them, or under another name; another run of the same configuration is one of its own."""
    again = changed(tmp_path, "open", tpot_mean_ms="8.01", ttft_p50_ms="28.0001", engine_version="0.11")
    table = read_tables([DATA / "points.csv", again])
    assert [row.row_id for row in table.rows] == [row.row_id for row in read_tables([DATA / "points.csv"]).rows]
    assert [one.place for one in table.excluded] == [f"changed.csv:{line}" for line in (2, 3, 4, 5)]
    assert {one.reason for one in table.excluded} == {"the same result as in another table or further up"}
    again = changed(tmp_path, "open", tpot_mean_ms="8.04", ttft_p50_ms="28.3", output_tok_s="251", ttft_p99_ms="60.2")
    assert "changed.csv:2" in [row.place for row in read_tables([DATA / "points.csv", again]).rows]


def test_what_others_reported_is_read_whole_and_says_where_from() -> None:
    table = read_tables([DATA / "reported.csv"])
    assert (len(table.rows), table.excluded) == (30, ())
    with (DATA / "reported.csv").open(encoding="utf-8", newline="") as file:
        assert all(line["source"] for line in csv.DictReader(file))
    assert {row.engine_version.count(".") for row in table.rows} == {2}, "no row takes the newest version by itself"


def test_what_the_notes_say_decides_nothing(tmp_path: Path) -> None:
    """Sources are told by columns: words in notes that name another source, a flag or a count change no row."""
    words = "published by blis; kimi-k2; no http; failures=9; true osl = 999; --async-scheduling; db-dump; sharegpt"
    (one,) = (
        row for row in read_tables([changed(tmp_path, "open", notes=words, source=words)]).rows if row.row_id == "open"
    )
    assert replace(one, place="") == replace(rows()["open"], place="")
    assert source_of(one) == {}


def test_a_source_is_known_by_its_columns_and_reads_its_own_notes(tmp_path: Path) -> None:
    path = changed(tmp_path, "open", dataset="blis_training", notes="true osl = 70; failures=3")
    (one,) = (row for row in read_tables([path]).rows if row.row_id == "open")
    assert (one.generated_tokens, one.num_requests) == (70, 43)
    assert source_of(one)["client_timeout_s"] == 300
    lab = replace(one, dataset="gpustack")
    assert service_s(lab) > service_s(replace(lab, model="gpt-oss-20b")) > service_s(one) == 0
    assert length_spreads(replace(one, osl_cv=0.4))[1].cv == 0.4


def test_formats_follow_the_models_name_and_what_the_gpu_computes_in() -> None:
    found = rows()
    assert found["closed"].dtype == "int4"
    assert found["burst"].dtype == "w8a16"
    assert found["burst"].kv_dtype == "fp8"


def test_limits_are_stated_or_those_of_the_version() -> None:
    found = rows()
    assert engine_limits(found["open"])["max_num_seqs"] == 64
    assert engine_limits(found["closed"])["max_num_batched_tokens"] == 2048
    assert engine_limits(found["burst"])["max_num_seqs"] == 256
    assert engine_limits(found["constant"])["max_num_seqs"] == 1024
    assert engine_version(found["open"]) == "0.11.0"


def test_aiconfigurators_columns_are_read_too() -> None:
    table = read_tables([DATA / "silicon.csv"])
    row = table.rows[0]
    assert (row.load, row.figures["tpot", "mean"], row.dtype) == (ClosedLoop(4), 0.005, "fp8")
    assert [one.reason.split(";")[0] for one in table.excluded] == ["GPU 'a_new_gpu' is not known"]


def test_ranks_of_attention_are_stated_or_what_the_sources_own_configuration_says() -> None:
    """aiconfigurator's table gives InferenceX's `ep` as ranks of attention; `dp-attn` had one GPU for each rank."""
    found = {row.row_id: row for row in read_tables([DATA / "silicon.csv"]).rows}
    ranks = {name: (row.tp, row.dp, row.expert_parallel, row.gpus) for name, row in found.items()}
    assert ranks == {
        "s1": (1, 1, False, 1),
        "s2": (4, 2, True, 8),
        "s4": (1, 2, True, 2),
        "s5": (2, 1, True, 2),
    }


@pytest.mark.parametrize(
    ("row_id", "cells", "words"),
    [
        ("open", {"tpot_mean_ms": "900"}, r"changed\.csv:2: tpot_mean_ms: TPOT is above E2E \(534\) \(got 900\)"),
        ("closed", {"ttft_mean_ms": "2000"}, r"changed\.csv:3: ttft_mean_ms: TTFT is above E2E"),
        ("burst", {"tpot_mean_ms": "-1"}, r"changed\.csv:4: tpot_mean_ms: must be above zero \(got -1\)"),
        ("constant", {"ttft_mean_ms": "nan"}, r"changed\.csv:5: ttft_mean_ms: is no number"),
        ("open", {"ttft_p50_ms": "70"}, r"changed\.csv:2: ttft_p50_ms: is above the p99"),
        ("open", {"output_tok_s": "2500"}, r"changed\.csv:2: output_tok_s: is above the total throughput"),
        ("open", {"ttft_mean_ms": "0.03"}, r"changed\.csv:2: ttft_mean_ms: .* are these seconds\? .* in milliseconds"),
        ("open", {"tp": "0"}, r"changed\.csv:2: tp: must be above zero"),
        ("open", {"tp": "1.5"}, r"changed\.csv:2: tp: must be a whole number"),
    ],
)
def test_impossible_values_are_named_by_line(tmp_path: Path, row_id: str, cells: dict[str, str], words: str) -> None:
    path = changed(tmp_path, row_id, **cells)
    with pytest.raises(InputError, match=words):
        read_tables([path])
    kept = read_tables([path], skip_bad=True)
    assert len(kept.rows) == 3
    assert [one.row_id for one in kept.excluded] == [row_id]


def test_a_column_in_another_unit_is_not_passed_over(tmp_path: Path) -> None:
    """Without its own column a figure would only be missing; a table in seconds would be compared on the rest."""
    text = (DATA / "points.csv").read_text(encoding="utf-8")
    path = tmp_path / "seconds.csv"
    path.write_text(text.replace("ttft_mean_ms", "ttft_mean_s", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"seconds\.csv:1: ttft_mean_s: times are read in milliseconds"):
        read_tables([path])


def test_all_impossible_values_are_named_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, "open", tpot_mean_ms="900", ttft_p50_ms="70", isl="-1")
    with pytest.raises(InputError) as error:
        read_tables([path])
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"engine": "sglang"}, "the simulated scheduler is vLLM's"),
        ({"model": "nobody/no-such-model"}, "or give the path of its config.json"),
        ({"dtype": "fp32"}, "32-bit weights"),
        ({"isl": ""}, "isl not stated"),
        ({"tp": "4"}, "tp x pp x dp = 4 on 1 GPUs"),
        ({"concurrency_or_rate": "some"}, "no rate or concurrency"),
    ],
)
def test_what_cannot_be_simulated_is_left_out_with_its_reason(
    tmp_path: Path, cells: dict[str, str], reason: str
) -> None:
    table = read_tables([changed(tmp_path, "open", **cells)])
    assert len(table.rows) == 3
    assert reason in table.excluded[0].reason


def test_a_row_with_more_values_than_names_is_refused_not_cut(tmp_path: Path) -> None:
    lines = (DATA / "points.csv").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "longer.csv"
    path.write_text("\n".join([*lines[:2], f"{lines[2]},9"]), encoding="utf-8")
    with pytest.raises(InputError, match=r"longer\.csv:3.*more values than the first line has names"):
        read_tables([path])


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("model,gpu,tp,ttft_p50_ms\nx,y,1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks engine, isl, osl, concurrency_or_rate, arrival"):
        read_tables([path])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8-dynamic", "llama-3.1-70b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama-3.1-8b"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "llama-3.1-70b"),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "qwen2.5-72b"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"),
        ("meta-llama/Llama-3.1-405B-Instruct (FP8)", "llama-3.1-405b"),
    ],
)
def test_models_by_their_hub_names(text: str, name: str) -> None:
    assert model_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA-GeForce-RTX-4090", "rtx-4090"),
        ("H100-PCIe-80GB", "h100-pcie"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("A100-SXM4-40GB", "a100-40"),
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("h200_sxm", "h200"),
        ("b200_sxm", "b200"),
        ("L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("RTXPRO6000-96GB", "rtx-pro-6000"),
    ],
)
def test_gpus_by_the_names_of_benchmarks(text: str, name: str) -> None:
    assert gpu_name(text) == name


def test_a_gpu_that_is_not_there_is_not_replaced() -> None:
    with pytest.raises(NotSupported, match="not in the catalog"):
        gpu_name("A100-PCIE-40GB")
    with pytest.raises(NotSupported, match="is not known"):
        gpu_name("NVIDIA H7")


def test_the_native_format_of_gpt_oss() -> None:
    assert weight_format("fp4", "openai/gpt-oss-20b", "gpt-oss-20b", "h100-sxm") == "mxfp4"
    assert weight_format("", "Qwen/Qwen3-8B", "qwen3-8b", "l4") == "bf16"
    assert weight_format("16-bit (auto)", "org/Llama-3.1-8B-FP8-dynamic", "llama-3.1-8b", "h100-pcie") == "fp8"
    assert weight_format("nvfp4", "nvidia/Llama-3.1-70B-Instruct-FP4", "llama-3.1-70b", "b200") == "fp4"
    assert weight_format("fp8", "openai/gpt-oss-20b", "gpt-oss-20b", "h100-sxm") == "fp8"
    assert weight_format("bf16", "openai/gpt-oss-20b", "gpt-oss-20b", "h100-sxm") == "mxfp4"
