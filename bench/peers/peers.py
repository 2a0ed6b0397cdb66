"""The peers: what to install where, and how to run one on given arrivals."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vidur_inputs

from simulator.run.bench import ISL_MEAN_TOKENS, OSL_MEAN_TOKENS
from simulator.workload.requests import RequestSource

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RATE_RPS = 9.0
ENGINE = {"block_size": 16, "max_num_seqs": 256, "max_num_batched_tokens": 2048}
TIME_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class PeerRun:
    """What a peer says of a run: wall-clock seconds of the simulation alone, and latencies in simulated time."""

    requests: int
    wall_s: float
    mean_ttft_s: float
    mean_e2e_s: float


@dataclass(frozen=True, slots=True)
class Checkout:
    """A repository at a commit, and what builds it there; `PEER_CHECKOUTS` names a folder that has it already."""

    repository: str
    commit: str
    build: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(os.environ.get("PEER_CHECKOUTS") or ROOT / ".venv-peers-checkouts") / Path(self.repository).name


@dataclass(frozen=True, slots=True)
class Peer:
    """A simulator in a virtual environment of its own.

    Attributes
    ----------
    level : `step` when every engine step is simulated, `request` when a request's duration is computed at once
    installs : arguments of successive `pip install`
    requests : of one timed run, so that it takes a few seconds
    checkout : where what is no package lies
    """

    name: str
    level: str
    environment: str
    installs: tuple[tuple[str, ...], ...]
    requests: int
    run: Callable[[Peer, RequestSource], PeerRun]
    prefix_caching: bool = False
    checkout: Checkout | None = None

    @property
    def python(self) -> Path:
        return ROOT / self.environment / "bin" / "python"

    @property
    def error_file(self) -> Path:
        return ROOT / self.environment / "install-error.txt"

    def problem(self) -> str | None:
        """Why it cannot run: the last lines of its failed installation, or that there was none."""
        if self.error_file.exists():
            return self.error_file.read_text().strip()
        return None if self.python.exists() else "not installed (python bench/peers/install.py)"


def rows(source: RequestSource) -> list[tuple[float, int, int]]:
    """Arrival in seconds, prompt tokens and output tokens of every request."""
    return [
        row
        for chunk in source.chunks()
        for row in zip(chunk.arrival_s.tolist(), chunk.isl.tolist(), chunk.osl.tolist(), strict=True)
    ]


def _script(name: str) -> Callable[[Peer, RequestSource], PeerRun]:
    def run(peer: Peer, source: RequestSource) -> PeerRun:
        output = _call([str(peer.python), str(HERE / name)], json.dumps(rows(source)))
        return PeerRun(**json.loads(output.splitlines()[-1]))

    return run


def _dynamo_trace(peer: Peer, source: RequestSource) -> PeerRun:
    """Replay of the same arrivals as a Mooncake trace; every prompt has a hash of its own, so nothing is shared."""
    engine = ENGINE | {"enable_prefix_caching": peer.prefix_caching}
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        with trace.open("w") as file:
            for number, (arrival_s, isl, osl) in enumerate(rows(source)):
                row = {"timestamp": arrival_s * 1000, "input_length": isl, "output_length": osl, "hash_ids": [number]}
                file.write(json.dumps(row) + "\n")
        arguments = [str(trace), "--trace-format", "mooncake", "--trace-block-size", str(ISL_MEAN_TOKENS)]
        return _dynamo(peer, arguments, engine, Path(folder))


def _dynamo_synthetic(peer: Peer, source: RequestSource) -> PeerRun:
    """Dynamo's own Poisson arrivals at the same rate, with the same number of requests and its default engine."""
    arguments = ["--input-tokens", str(ISL_MEAN_TOKENS), "--output-tokens", str(OSL_MEAN_TOKENS)]
    arguments += ["--request-count", str(len(rows(source))), "--request-rate", f"{RATE_RPS:g}"]
    with tempfile.TemporaryDirectory() as folder:
        return _dynamo(peer, arguments, {"block_size": ENGINE["block_size"]}, Path(folder))


def _dynamo(peer: Peer, arguments: list[str], engine: dict[str, Any], folder: Path) -> PeerRun:
    report = folder / "report.json"
    command = [str(peer.python), "-m", "dynamo.replay", *arguments, "--num-workers", "1", "--replay-mode", "offline"]
    _call([*command, "--extra-engine-args", json.dumps(engine), "--report-json", str(report)])
    found = json.loads(report.read_text())
    return PeerRun(
        requests=found["completed_requests"],
        wall_s=found["wall_time_ms"] / 1000,
        mean_ttft_s=found["mean_ttft_ms"] / 1000,
        mean_e2e_s=found["mean_e2e_latency_ms"] / 1000,
    )


def _vidur(peer: Peer, source: RequestSource) -> PeerRun:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "attention.csv"
        vidur_inputs.write_attention(table)
        command = [str(peer.python), str(HERE / "run_vidur.py"), str(VIDUR.folder), str(table)]
        output = _call(command, json.dumps(rows(source)))
    return PeerRun(**json.loads(output.splitlines()[-1]))


def _blis(peer: Peer, source: RequestSource) -> PeerRun:
    """Replay of the same arrivals; what the command takes for the first of them alone is start-up."""
    requests = rows(source)
    start_up_s, _ = _blis_replay(requests[:1])
    wall_s, done = _blis_replay(requests)
    ttft_s, e2e_s = (sum(each[name] for each in done) / len(done) / 1e6 for name in ("ttft_us", "e2e_us"))
    return PeerRun(len(done), wall_s - start_up_s, ttft_s, e2e_s)


def _blis_replay(requests: list[tuple[float, int, int]]) -> tuple[float, list[dict[str, Any]]]:
    """Wall-clock seconds of the command, and what it writes of each request."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        header, data, results = (folder / each for each in ("trace.yaml", "trace.csv", "results.json"))
        header.write_text("trace_version: 2\ntime_unit: us\nmode: generated\nwarm_up_requests: 0\n")
        with data.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(BLIS_COLUMNS)
            for number, (arrival_s, isl, osl) in enumerate(requests):
                at_us = round(arrival_s * 1e6)
                row = [number, "", "", "standard", "", 0, "", 0, "true", isl, osl, isl, 0, 0, 0, 0, "", 0, isl]
                table.writerow([*row, at_us, at_us, 0, 0, 0, "ok", "", ""])
        command = [str(BLIS.folder / "blis"), "replay", "--trace-header", str(header), "--trace-data", str(data)]
        command += [
            "--model",
            "meta-llama/llama-3.1-8b-instruct",
            "--hardware",
            "A100-80",
            "--latency-model",
            "roofline",
        ]
        command += ["--model-config-folder", str(BLIS.folder / "model_configs/llama-3.1-8b-instruct")]
        command += ["--defaults-filepath", str(BLIS.folder / "defaults.yaml")]
        command += ["--hardware-config", str(BLIS.folder / "hardware_config.json")]
        command += ["--total-kv-blocks", "29041", "--results-path", str(results), "--log", "error"]
        began = time.perf_counter()
        _call(command)
        return time.perf_counter() - began, json.loads(results.read_text())


def _call(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


VIDUR = Checkout("https://github.com/microsoft/vidur", "7d47513")
BLIS = Checkout("https://github.com/inference-sim/inference-sim", "f90a1e3a", ("go", "build", "-o", "blis", "."))
BLIS_COLUMNS = (
    *(
        "request_id",
        "client_id",
        "tenant_id",
        "slo_class",
        "session_id",
        "round_index",
        "prefix_group",
        "prefix_length",
    ),
    *("streaming", "input_tokens", "output_tokens", "text_tokens", "image_tokens", "audio_tokens", "video_tokens"),
    *("reason_ratio", "model", "deadline_us", "server_input_tokens", "arrival_time_us", "send_time_us"),
    *("first_chunk_time_us", "last_chunk_time_us", "num_chunks", "status", "error_message", "finish_reason"),
)
DYNAMO = (
    ("ai-dynamo-runtime==1.4.2",),
    ("ai-dynamo==1.4.2", "--no-deps"),
    ("msgspec", "aiohttp", "prometheus-client", "pyzmq", "zstandard", "transformers", "kubernetes>=32,<33"),
)
_DYNAMO_VENV = ".venv-peers-dynamo"
PEERS = (
    Peer("Dynamo replay 1.4.2", "step", _DYNAMO_VENV, DYNAMO, 20_000, _dynamo_trace),
    Peer("Dynamo replay 1.4.2, prefix caching on", "step", _DYNAMO_VENV, DYNAMO, 20_000, _dynamo_trace, True),
    Peer("Dynamo replay 1.4.2, its own arrivals", "step", _DYNAMO_VENV, DYNAMO, 20_000, _dynamo_synthetic, True),
    Peer("sched-sim 0.2.1", "step", ".venv-peers-sched", (("sched-sim==0.2.1",),), 5_000, _script("run_sched_sim.py")),
    Peer(
        "vllm-sr-sim 0.1.0.dev20260713123629",
        "request",
        ".venv-peers-sr",
        (("vllm-sr-sim==0.1.0.dev20260713123629",),),
        50_000,
        _script("run_vllm_sr_sim.py"),
    ),
    Peer(f"BLIS {BLIS.commit}", "step", ".venv-peers-blis", (), 5_000, _blis, True, BLIS),
    Peer(f"Vidur {VIDUR.commit}", "step", ".venv-peers-vidur", (vidur_inputs.NEEDS,), 5_000, _vidur, checkout=VIDUR),
)
