"""`servecast memory`: one plan, a table of plans, and a log held against the plan."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run
from simulator.cli.memory import memory
from simulator.resolve.memory_table import COLUMNS

LOGS = Path(__file__).resolve().parents[1] / "data" / "vllm-logs"
ANSWER = {"id", "fits", "num_blocks", "kv_tokens", "kv_gib", "weights_gib", "error"}
LOG = """\
INFO 10-02 10:12:01 [core.py:75] Initializing a V1 LLM engine (v0.11.0) with config: \
model='meta-llama/Llama-3.1-8B-Instruct', \
tensor_parallel_size=1, pipeline_parallel_size=1, max_seq_len=131072, quantization=None, kv_cache_dtype=auto,
INFO 10-02 10:12:09 [gpu_model_runner.py:2653] Model loading took 14.9889 GiB and 2.910352 seconds
INFO 10-02 10:12:30 [gpu_worker.py:298] Available KV cache memory: 54.77 GiB
INFO 10-02 10:12:30 [kv_cache_utils.py:1087] GPU KV cache size: 448,640 tokens
INFO 10-02 10:12:30 [kv_cache_utils.py:1091] Maximum concurrency for 131,072 tokens per request: 3.42x
INFO 10-02 10:12:40 [gpu_model_runner.py:3480] Graph capturing finished in 8 secs, took 0.55 GiB
"""


OVERRIDDEN = LOG.replace(
    "INFO 10-02 10:12:30 [kv_cache_utils.py:1087] GPU KV cache size: 448,640 tokens",
    "INFO 10-02 10:12:30 [kv_cache_utils.py:1060] Overriding num_gpu_blocks=28040 with num_gpu_blocks_override=16384\n"
    "INFO 10-02 10:12:30 [kv_cache_utils.py:1087] GPU KV cache size: 262,144 tokens",
).replace("3.42x", "2.00x")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert _run(["memory", *words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("llama-3.1-8b", "--gpu", "a100-80", "--dtype", "fp8"), "a100-80 does not compute in fp8; use bf16"),
        (("llama-3.1-8b-fp8", "--gpu", "a100-80"), "a100-80 does not compute in fp8; use bf16"),
        (("llama-3.1-8b", "--gpu", "h100-sxm", "--dtype", "nvfp4"), "h100-sxm does not compute in nvfp4; use bf16"),
        (("llama-3.1-8b", "--gpu", "h100-sxm", "--dtype", "fp8"), ""),
        (("llama-3.1-8b", "--gpu", "a100-80", "--dtype", "gptq"), ""),
    ],
)
def test_weights_that_vllm_starts_with_and_a_run_refuses_are_said(
    words: tuple[str, ...], refused: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of the run's own refusal."""
    found = printed(capsys, *words)
    assert found["fits"]
    said = [text for text in found["not_in_step_time"] if refused and refused in text]
    assert len(found["not_in_step_time"]) == len(said) == bool(refused)
    assert all("vLLM decodes these weights to 16 bit, servecast run refuses them: " in text for text in said)


@pytest.mark.parametrize(("gpu", "dtype"), [("a100-40", "int8"), ("l40s", "fp8")])
def test_a_way_out_is_one_that_a_run_takes(gpu: str, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    """32B in 16 bit are 61 GiB: too much for 40 or 48 GB, in 8 bit they fit."""
    found = printed(capsys, "qwen3-32b", "--gpu", gpu, "--max-model-len", "4096")
    assert not found["fits"]
    assert f"dtype={dtype}" in found["ways_out"]


def test_the_terms_are_printed_as_vllm_logs_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["memory", "llama-3.1-8b", "--gpu", "h100-sxm", "--version", "0.11.0"]) == 0
    out = capsys.readouterr().out
    for words in (
        "total memory",
        "usable at 0.9",
        "weights",
        "activation peak",
        "non-torch",
        "CUDA graphs",
        "KV cache",
    ):
        assert words in out
    found = printed(capsys, "llama-3.1-8b", "--gpu", "h100-sxm", "--version", "0.11.0")
    assert found["fits"]
    assert found["ways_out"] == []
    assert found["groups"][0]["kind"] == "full"
    assert found["max_concurrency"] == pytest.approx(found["kv_tokens"] / found["max_model_len"], abs=1e-3)


def test_what_would_make_it_fit(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "llama-3.1-70b", "--gpu", "h100-sxm")
    assert not found["fits"]
    assert found["refusals"]
    assert any(way.startswith("tp=") for way in found["ways_out"])


def test_a_table_of_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "rows.csv"
    lines = [
        ",".join(COLUMNS),
        "a,llama-3.1-8b,h100-sxm,1,,,,,,0.9,8192,,,0.11.0",
        "b,llama-3.1-70b,h100-sxm,1,,,,,,,,,,",
        "c,llama-3.1-8b,h100-sxm,0,,,,,,,,,,",
        "d,no-such-model,h100-sxm,,,,,,,,,,,",
        "e,llama-3.1-8b,h100-sxm,inf,,,,,,,,,,",
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    found = printed(capsys, "--table", str(table))
    assert list(found) == ["rows"]
    assert all(set(row) == ANSWER for row in found["rows"])
    by_id = {row["id"]: row for row in found["rows"]}
    assert by_id["a"]["fits"] is True
    assert by_id["a"]["error"] is None
    assert by_id["a"]["weights_gib"] == pytest.approx(14.99, abs=0.02)
    assert (by_id["b"]["fits"], by_id["b"]["kv_tokens"]) == (False, 0)
    assert by_id["c"]["fits"] is None
    assert "tp" in by_id["c"]["error"]
    assert "no-such-model" in by_id["d"]["error"]
    assert "tp" in by_id["e"]["error"]


def test_a_table_has_the_columns_of_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = set(inspect.signature(memory).parameters) - {"table", "compare", "format"}
    assert set(COLUMNS) == {"id"} | options
    table = tmp_path / "rows.csv"
    lines = ["id,model,gpu,speculative_method,redundant_experts,enforce_eager", "a,qwen3-32b,b200,mtp,0,"]
    lines += ["b,qwen3-32b,b200,eagle,0,true", "c,qwen3-32b,b200,,,"]
    table.write_text("\n".join(lines), encoding="utf-8")
    wrong, drafted, plain = printed(capsys, "--table", str(table))["rows"]
    assert "multi-token prediction" in wrong["error"]
    assert drafted["weights_gib"] > plain["weights_gib"] + 0.3
    assert drafted["kv_gib"] > plain["kv_gib"]


def test_windows_keep_all_tokens_without_the_hybrid_manager(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("gpt-oss-20b", "--gpu", "h100-sxm")
    apart, together, also_apart = (
        printed(capsys, *asked, *more)
        for more in ((), ("--disable-hybrid-kv-cache-manager",), ("--disable-hybrid-kv-cache-manager=false",))
    )
    assert {group["kind"] for group in apart["groups"]} == {"window", "full"}
    assert {group["kind"] for group in together["groups"]} == {"full"}
    assert also_apart == apart


@pytest.mark.parametrize(
    ("name", "formats", "graphs_gib"),
    [("bf16", (), 0.03), ("bf16-cached", (), 0.03), ("fp8", ("--dtype", "fp8", "--kv-dtype", "fp8"), 0.15)],
)
def test_blocks_of_an_h100_are_those_of_its_log(
    name: str, formats: tuple[str, ...], graphs_gib: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """vLLM 0.32.0 on a real GPU; the plan knows no smaller graphs for fp8 (docs/accuracy.md)."""
    limits = ("--max-num-seqs", "256", "--max-num-batched-tokens", "8192")
    log = str(LOGS / f"h100-{name}.log")
    rows = {
        row["term"]: row for row in printed(capsys, "--compare", log, "--gpu", "h100-sxm", *limits, *formats)["rows"]
    }
    assert rows["num_blocks"]["plan"] == pytest.approx(rows["num_blocks"]["log"], rel=0.011)
    assert rows["weights_gib"]["plan"] == pytest.approx(rows["weights_gib"]["log"], abs=0.03)
    assert rows["cuda_graphs_gib"]["plan"] == pytest.approx(rows["cuda_graphs_gib"]["log"], abs=graphs_gib)


def test_smaller_graphs_leave_more_cache_and_none_the_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the options, and by what a log says of its engine."""
    asked = ("llama-3.1-8b", "--gpu", "h100-sxm")
    more = ((), ("--max-cudagraph-capture-size", "64"), ("--enforce-eager",))
    full, small, none = (printed(capsys, *asked, *options)["kv_gib"] for options in more)
    assert full < small < none
    compared = []
    for said in ("", "'max_cudagraph_capture_size': 64,", "enforce_eager=True,"):
        log = tmp_path / "vllm.log"
        log.write_text(
            LOG.replace("v0.11.0", "v0.32.0").replace("kv_cache_dtype=auto,", f"kv_cache_dtype=auto, {said}")
        )
        rows = printed(capsys, "--compare", str(log), "--gpu", "h100-sxm")["rows"]
        compared.append(next(row["plan"] for row in rows if row["term"] == "cuda_graphs_gib"))
    assert compared[0] > compared[1] > compared[2] == 0


def test_states_are_kept_for_the_prefix_cache_alone(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("qwen3-next-80b-a3b", "--gpu", "h200", "--tp", "2", "--version", "0.32.0")
    cached, plain = (printed(capsys, *asked, *more) for more in ((), ("--no-enable-prefix-caching",)))
    assert cached["num_blocks"] == plain["num_blocks"]
    assert cached["max_concurrency"] < plain["max_concurrency"]


def test_no_graph_is_larger_than_any_engine_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["memory", "llama-3.1-8b", "--gpu", "h100-sxm", "--max-cudagraph-capture-size", "0"]) == 2
    assert "max_cudagraph_capture_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"), [("id,model,gpu,tensor\n", "tensor"), ("id,model\n", "gpu"), ("", "model")]
)
def test_a_table_with_other_columns_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    table = tmp_path / "rows.csv"
    table.write_text(text, encoding="utf-8")
    assert _run(["memory", "--table", str(table)]) == 2
    assert message in capsys.readouterr().err


def test_a_log_is_held_against_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(LOG, encoding="utf-8")
    rows = {row["term"]: row for row in printed(capsys, "--compare", str(log), "--gpu", "h100-sxm")["rows"]}
    assert rows["kv_tokens"]["log"] == 448640
    assert rows["kv_tokens"]["difference"] == rows["kv_tokens"]["plan"] - 448640
    assert abs(rows["weights_gib"]["difference"]) < 0.02
    assert rows["weights_gib"]["log"] == pytest.approx(14.9889)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[2026-01-01] server_args=ServerArgs(model_path='x')\nmax_total_num_tokens=100\n", "SGLang"),
        ("llama_model_loader: loaded meta data\n", "llama.cpp"),
        ("load_tensors: offloading 32 layers\nllama_context: n_ctx = 4096\n", "other.log:1: a log of llama.cpp"),
        ("nothing of the kind\n", "memory lines"),
    ],
)
def test_a_log_of_another_engine_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    log = tmp_path / "other.log"
    log.write_text(line, encoding="utf-8")
    assert _run(["memory", "--compare", str(log), "--gpu", "h100-sxm"]) == 2
    assert message in capsys.readouterr().err


def test_a_model_and_a_gpu_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["memory", "llama-3.1-8b"]) == 2
    assert "--gpu" in capsys.readouterr().err


def test_a_log_of_overridden_blocks_is_held_against_what_memory_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """16,384 blocks of 16 tokens are two requests of 131,072 tokens, whatever memory would hold."""
    plain, told = tmp_path / "plain.log", tmp_path / "told.log"
    plain.write_text(LOG)
    told.write_text(OVERRIDDEN)
    before, rows = (
        {row["term"]: row for row in printed(capsys, "--compare", str(log), "--gpu", "h100-sxm")["rows"]}
        for log in (plain, told)
    )
    assert rows["kv_tokens"]["plan"] == rows["kv_tokens"]["log"] == 262_144
    assert rows["max_concurrency"]["plan"] == pytest.approx(2.0)
    assert rows["num_blocks"] == {
        **before["num_blocks"],
        "log": 28_040,
        "difference": before["num_blocks"]["plan"] - 28_040,
    }
    assert rows["kv_gib"] == before["kv_gib"]


def test_a_log_of_drafts_beside_states_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By the line of arguments alone; tokens follow from the memory that the log has for them."""
    log = tmp_path / "vllm.log"
    log.write_text(
        "non-default args: {'model_tag': 'qwen3.6-27b', 'max_model_len': 262144, 'quantization': 'auto_round', "
        "'tensor_parallel_size': 2, 'kv_cache_dtype': 'fp8_e5m2', 'enable_prefix_caching': True, "
        "'max_num_batched_tokens': 8192, 'max_num_seqs': 2, "
        "'speculative_config': {'method': 'qwen3_next_mtp', 'num_speculative_tokens': 3}}\n"
        "Initializing a V1 LLM engine (v0.24.0) with config: x\n"
        "Available KV cache memory: 11.05 GiB\nGPU KV cache size: 623,873 tokens\n"
    )
    found = printed(capsys, "--compare", str(log), "--gpu", "rtx-3090")
    rows = {row["term"]: row for row in found["rows"]}
    a_block = 262_144 / (3 * 5 + 164)
    assert rows["kv_tokens at the log's kv_gib"]["difference"] == pytest.approx(0, abs=a_block + 1)
    assert found["notes"] == [
        "quantization auto_round is no one format: give --dtype, as int4, or the model's config.json"
    ]
    assert printed(capsys, "--compare", str(log), "--gpu", "rtx-3090", "--dtype", "int4")["notes"] == []


def test_what_the_profile_of_graphs_overrides_for_itself_is_not_the_engines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From 0.18 on the profile of the graphs takes a few blocks of its own and tells it as an override of none."""
    profile = "INFO 10-02 10:12:29 [kv_cache_utils.py:826] Overriding num_gpu_blocks=0 with num_gpu_blocks_override=4\n"
    found = []
    for number, text in enumerate((LOG, profile + LOG, OVERRIDDEN, profile + OVERRIDDEN)):
        log = tmp_path / f"{number}.log"
        log.write_text(text)
        found.append(printed(capsys, "--compare", str(log), "--gpu", "h100-sxm"))
    assert found[0] == found[1]
    assert found[2] == found[3]
    blocks = next(row["log"] for row in found[3]["rows"] if row["term"] == "num_blocks")
    assert blocks == 28_040


@pytest.mark.parametrize("version", ["0.0.0", "0.1.dev1+g123abc"])
def test_a_log_of_a_build_says_how_to_tell_its_release(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, version: str
) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(LOG.replace("v0.11.0", f"v{version}"))
    assert _run(["memory", "--compare", str(log), "--gpu", "h100-sxm"]) == 2
    assert "give --version" in capsys.readouterr().err
    assert printed(capsys, "--compare", str(log), "--gpu", "h100-sxm", "--version", "0.11.0")["rows"]


def test_a_log_of_a_checkpoint_whose_name_tells_its_format_needs_no_more(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(
        "model='RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic', quantization=compressed-tensors,\n"
        "Initializing a V1 LLM engine (v0.24.0) with config: x\nAvailable KV cache memory: 55.00 GiB\n"
    )
    found = printed(capsys, "--compare", str(log), "--gpu", "NVIDIA H200")
    assert found["notes"] == []
    weights = next(row["plan"] for row in found["rows"] if row["term"] == "weights_gib")
    assert weights == printed(capsys, "llama-3.1-70b", "--gpu", "h200", "--dtype", "fp8")["weights_gib"]


def test_a_length_beyond_the_context_is_planned_and_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """vLLM would not start; what the cache would hold is the same, and a log of scaled positions can be compared."""
    within = printed(capsys, "qwen3-8b", "--gpu", "h100-sxm")
    beyond = printed(capsys, "qwen3-8b", "--gpu", "h100-sxm", "--max-model-len", "131072")
    assert (within["fits"], beyond["fits"]) == (True, False)
    assert beyond["num_blocks"] == within["num_blocks"]
    assert beyond["refusals"] == [
        "max_model_len (131072) is beyond the 40960 tokens of qwen3-8b: set it to at most that, or have its "
        "config.json say how positions are scaled (rope_scaling)"
    ]
    assert beyond["ways_out"] == ["max_model_len=40960"]


def test_a_log_of_text_alone_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the log says and the option are one: the weights of the encoder are not in the plan."""
    log = tmp_path / "vllm.log"
    settled = "Initializing a V1 LLM engine (v0.24.0) with config: x\nAvailable KV cache memory: 11.05 GiB\n"
    planned = []
    limits = "'limit_mm_per_prompt': {'image': 0, 'video': 0}, "
    said_so = (("", ("--language-model-only",)), ("'language_model_only': True, ", ()), (limits, ()))
    for said, words in (("", ()), *said_so):
        log.write_text(f"non-default args: {{{said}'model_tag': 'qwen3.6-27b', 'max_num_seqs': 2}}\n{settled}")
        rows = printed(capsys, "--compare", str(log), "--gpu", "h200", *words)["rows"]
        planned.append({row["term"]: row["plan"] for row in rows})
    assert planned[0] != planned[1] == planned[2] == planned[3]


def test_a_method_that_is_not_planned_is_told_and_its_drafts_are_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(
        "model='qwen3.6-27b', speculative_config=SpeculativeConfig(method='dflash', model='x', num_spec_tokens=7)\n"
        "Initializing a V1 LLM engine (v0.32.0) with config: x\nAvailable KV cache memory: 90.00 GiB\n"
    )
    found = printed(capsys, "--compare", str(log), "--gpu", "h200")
    assert found["notes"] == ["what drafts (dflash) is left out with its weights and layers; its drafts are counted"]
    counted = next(row["plan"] for row in found["rows"] if row["term"] == "max_concurrency")
    plain = printed(capsys, "qwen3.6-27b", "--gpu", "h200")["max_concurrency"]
    assert counted < plain


@pytest.mark.parametrize(
    ("version", "sleeps", "told"), [("0.26.0", True, 1), ("0.27.0", True, 0), ("0.26.0", False, 0)]
)
def test_a_log_in_sleep_mode_is_told_to_promise_more_than_there_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, version: str, sleeps: bool, told: int
) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(
        f"non-default args: {{'model_tag': 'qwen3.6-27b', 'enable_sleep_mode': {sleeps}}}\n"
        f"Initializing a V1 LLM engine (v{version}) with config: x\nAvailable KV cache memory: 60.00 GiB\n"
    )
    notes = printed(capsys, "--compare", str(log), "--gpu", "h200")["notes"]
    assert len([note for note in notes if "sleep mode" in note]) == len(notes) == told


@pytest.mark.parametrize(
    ("printed_by", "newer"),
    [
        ("[model_runner.py:329]", True),
        ("[gpu_model_runner.py:5255]", False),
        ("[gpu/model_runner.py:329]", True),
        ("", True),
    ],
)
def test_a_log_tells_which_model_runner_served(
    printed_by: str, newer: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Six bytes of each vocabulary entry and sequence in the newer one, thirty of 128,256 and 1,024 in the other's
    place of them: an engine that a variable of its environment keeps in the older one says so by its file."""
    log = tmp_path / "start.log"
    text = LOG.replace("v0.11.0", "v0.26.0").replace("[gpu_model_runner.py:2653]", printed_by)
    log.write_text(text.replace("[gpu_model_runner.py:3480]", printed_by), encoding="utf-8")
    rows = {row["term"]: row for row in printed(capsys, "--compare", str(log), "--gpu", "h100-sxm")["rows"]}
    sampled = rows["activation_gib"]["plan"] * 2**30 / (1024 * 128256)
    assert sampled < 10 if newer else 14 <= sampled < 24
