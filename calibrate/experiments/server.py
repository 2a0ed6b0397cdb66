"""vLLM's OpenAI-compatible server, loaded by vLLM's own serving benchmark, on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibrate.driver.processors import cpu_share, group_of, processor_time
from calibrate.experiments.loads import Load
from calibrate.experiments.tokenizer import has_tokenizer, write_tokenizer
from calibrate.vllm_process import EngineError, child_environment, end_group, link_driver

STEP_LOG = "SERVECAST_STEP_LOG"
_SCHEDULER = "calibrate.driver.internals.tracing_scheduler"
_HASH_TOKENS = 16
_POLL_S = 0.5
MOST_FAILED = 0.02
"""Share of a load's requests that may fail; with more, those that are left saw another load."""


class Server:
    """Context manager: a server with the tracing scheduler, ready for requests.

    Parameters
    ----------
    arguments : engine arguments, the model's among them
    folder : for logs, the steps and the client's results
    """

    def __init__(self, python: str, model: str, vocabulary: int, arguments: Sequence[str], folder: Path) -> None:
        self._python = python
        self._folder = folder
        self._scratch = tempfile.TemporaryDirectory(prefix="servecast-")
        scratch = Path(self._scratch.name)
        link_driver(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        self.steps_file = folder / "server-steps.txt"
        self.steps_file.unlink(missing_ok=True)
        self._log = (folder / "server.log").open("ab")
        self._environment = child_environment(self._scratch.name)
        self.tokenizer = model
        if not has_tokenizer(model):
            self.tokenizer = str(scratch / "tokenizer")
            write_tokenizer(Path(self.tokenizer), vocabulary)
        self.model = model
        self.port = _free_port()
        own = ["--host", "127.0.0.1", "--port", str(self.port), "--tokenizer", self.tokenizer]
        self._process = subprocess.Popen(
            [
                python,
                "-m",
                "vllm.entrypoints.openai.api_server",
                *(word for word in arguments if word != "--skip-tokenizer-init"),
                *own,
                "--scheduler-cls",
                _SCHEDULER,
            ],
            stdout=self._log,
            stderr=self._log,
            env={**self._environment, STEP_LOG: str(self.steps_file)},
            start_new_session=True,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        end_group(self._process)
        self._log.close()
        self._scratch.cleanup()

    def wait(self, patience_s: float = 600.0) -> None:
        """Until it answers.

        Raises
        ------
        EngineError : it ended, or does not answer in time
        """
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise EngineError(
                    "died", f"the server ended with {self._process.returncode}: {self._folder}/server.log"
                )
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(_POLL_S)
        raise EngineError("died", f"the server did not answer within {patience_s:.0f} s: {self._folder}/server.log")

    def serve(self, load: Load, name: str) -> dict[str, Any]:
        """Send a load with vLLM's benchmark; the run as `vllm-run/1` has it, its failed requests and `cpu_share`.

        Raises
        ------
        EngineError : the client failed, or more than `MOST_FAILED` of the requests
        """
        trace = self._folder / f"{name}.jsonl"
        trace.write_text("".join(json.dumps(row) + "\n" for row in _trace_rows(load)), encoding="utf-8")
        result = self._folder / f"{name}.client.json"
        result.unlink(missing_ok=True)
        began = self._step_count()
        before = processor_time(group_of(self._process.pid))
        done = subprocess.run(
            [
                self._python,
                "-m",
                "calibrate.driver.bench_client",
                *self._client_arguments(trace, result, len(load.isl)),
            ],
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
            check=False,
        )
        if done.returncode or not result.exists():
            raise EngineError("failed", f"vLLM's benchmark client failed: {self._folder}/server.log")
        share = cpu_share(before, processor_time(group_of(self._process.pid)))
        client = json.loads(result.read_text(encoding="utf-8"))
        return {**served(client, self._new_steps(began), load), "rate_rps": load.rate_rps, "cpu_share": share}

    def _client_arguments(self, trace: Path, result: Path, requests: int) -> list[str]:
        options: Mapping[str, str] = {
            "backend": "openai",
            "base-url": self.url,
            "model": self.model,
            "tokenizer": self.tokenizer,
            "dataset-name": "timed_trace",
            "dataset-path": str(trace),
            "timed-trace-chunk-hash-size": str(_HASH_TOKENS),
            "num-prompts": str(requests),
            "temperature": "1.0",
            "result-dir": str(result.parent),
            "result-filename": result.name,
        }
        flags = ("--ignore-eos", "--save-result", "--save-detailed", "--disable-tqdm")
        return [*(word for key, value in options.items() for word in (f"--{key}", value)), *flags]

    def _step_count(self) -> int:
        return len(self.steps_file.read_bytes().splitlines()) if self.steps_file.exists() else 0

    def _new_steps(self, began: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        text = self.steps_file.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n")].splitlines()[began:]
        return np.array([[float(word) for word in line.split()] for line in lines])


def _trace_rows(load: Load) -> list[dict[str, Any]]:
    """Rows of the benchmark's trace format; every hash occurs once, so nothing is shared."""
    rows = []
    first = 0
    for request in load.requests():
        chunks = -(-request["isl"] // _HASH_TOKENS)
        rows.append(
            {
                "timestamp": request["arrival_s"],
                "input_length": request["isl"],
                "output_length": request["osl"],
                "hash_ids": list(range(first, first + chunks)),
            }
        )
        first += chunks
    return rows


def served(client: Mapping[str, Any], steps: np.ndarray[Any, np.dtype[np.float64]], load: Load) -> dict[str, Any]:
    """What the client saw of the requests that the server answered in full; `failed` counts the others.

    Client and step log share the machine's monotonic clock; the first request that is sent sets the origin.

    Raises
    ------
    EngineError : more than `MOST_FAILED` of the requests failed, or got other tokens than they asked for
    """
    errors = client.get("errors") or [""] * len(load.osl)
    good = [
        not error and osl == asked for error, osl, asked in zip(errors, client["output_lens"], load.osl, strict=True)
    ]
    failed = good.count(False)
    if failed > MOST_FAILED * len(good):
        first = next((str(error).strip().splitlines()[-1] for error in errors if error), "other tokens than asked for")
        raise EngineError("failed", f"{failed} of {len(good)} requests failed: {first}")
    sent_s = np.array(client["start_times"])
    zero_s = float(sent_s.min()) - float(load.arrival_s.min())
    requests = []
    for k, (isl, osl) in enumerate(zip(client["input_lens"], client["output_lens"], strict=True)):
        if not good[k]:
            continue
        arrival_s = float(sent_s[k]) - zero_s
        first_s = arrival_s + client["ttfts"][k]
        gaps_s = client["itls"][k]
        requests.append(
            {
                "arrival_s": arrival_s,
                "isl": isl,
                "osl": osl,
                "first_token_s": first_s,
                "finished_s": first_s + sum(gaps_s),
                "itls_s": gaps_s,
            }
        )
    kept = steps[(steps[:, 2] > 0) & (steps[:, 0] > sent_s.min())]
    return {"requests": requests, "steps": [[row[0] - zero_s, *row[1:4]] for row in kept.tolist()], "failed": failed}


def outside_s(run: Mapping[str, Any]) -> float:
    """What a first token spends between the end of its step and the client: median over requests, seconds."""
    ends_s = np.array([start_s + duration_s for start_s, duration_s, *_ in run["steps"]])
    first_s = np.array([request["first_token_s"] for request in run["requests"]])
    place = np.searchsorted(ends_s, first_s) - 1
    return float(np.median((first_s - ends_s[place])[place >= 0]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
