"""vLLM's server with a stand-in for vLLM: started, awaited, loaded by a client, ended with all that it began."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.driver.processors import ProcessorTime
from calibrate.experiments import server as place
from calibrate.experiments.loads import Load
from calibrate.experiments.server import Server, outside_s
from calibrate.vllm_process import EngineError

VLLM = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
module, words = sys.argv[2], sys.argv[3:]
given = {word[2:]: after for word, after in zip(words, words[1:] + [""]) if word.startswith("--")}
folder = os.environ["SERVECAST_TEST_FOLDER"]
with open(os.path.join(folder, module.rsplit(".", 1)[1] + ".asked.json"), "w") as file:
    json.dump({"words": words, "steps": os.environ.get("SERVECAST_STEP_LOG"), "module": module}, file)
if module == "vllm.entrypoints.openai.api_server":
    if "--dies" in words:
        sys.exit(7)
    with open(os.environ["SERVECAST_STEP_LOG"], "w") as file:
        file.write("90.0 0.5 4 4\\n")

    class Health(BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Health.asked += 1
            self.send_response(200 if self.path == "/health" and Health.asked > 1 else 503)
            self.end_headers()

    HTTPServer((given["host"], int(given["port"])), Health).serve_forever()
if "fails" in given["dataset-path"]:
    sys.exit(1)
rows = [json.loads(line) for line in open(given["dataset-path"])]
with open(os.environ["STEPS"], "a") as file:
    for row in rows:
        file.write(f"{100.0 + row['timestamp']} 0.25 {row['input_length']} 1\\n")
    file.write("100.0 half a li")
told = {
    "start_times": [100.0 + row["timestamp"] for row in rows],
    "input_lens": [row["input_length"] for row in rows],
    "output_lens": [row["output_length"] for row in rows],
    "ttfts": [0.3] * len(rows),
    "itls": [[0.1] * (row["output_length"] - 1) for row in rows],
    "errors": [""] * len(rows),
}
with open(os.path.join(given["result-dir"], given["result-filename"]), "w") as file:
    json.dump(told, file)
"""


def load(*lengths: tuple[int, int]) -> Load:
    isl, osl = (np.array(column, np.int32) for column in zip(*lengths, strict=True))
    return Load("poisson", 2.5, 0.5, 10.0 + np.arange(len(lengths)) / 2, isl, osl)


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is taken for an interpreter with vLLM."""
    (tmp_path / "vllm.py").write_text(VLLM, encoding="utf-8")
    program = tmp_path / "python-with-vllm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {tmp_path}/vllm.py "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("SERVECAST_TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("STEPS", str(tmp_path / "run" / "server-steps.txt"))
    monkeypatch.setattr(place, "_POLL_S", 0.02)
    return str(program)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model's folder without a tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def server(python: str, model: str, tmp_path: Path) -> Iterator[Server]:
    arguments = ["--model", model, "--skip-tokenizer-init", "--max-num-seqs", "8"]
    with Server(python, model, 32, arguments, tmp_path / "run") as found:
        found.wait(60)
        yield found


def asked(tmp_path: Path, name: str) -> dict[str, Any]:
    return json.loads((tmp_path / f"{name}.asked.json").read_text(encoding="utf-8"))


def value(words: list[str], name: str) -> str:
    return words[words.index(f"--{name}") + 1]


def test_the_server_gets_the_engine_s_arguments_and_logs_its_steps(server: Server, model: str, tmp_path: Path) -> None:
    told = asked(tmp_path, "api_server")
    words = told["words"]
    assert words[:4] == ["--model", model, "--max-num-seqs", "8"], "a server needs its tokenizer"
    assert value(words, "host") == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{value(words, 'port')}"
    assert value(words, "scheduler-cls") == "calibrate.driver.internals.tracing_scheduler"
    assert told["steps"] == str(tmp_path / "run" / "server-steps.txt")
    assert (Path(value(words, "tokenizer")) / "tokenizer.json").is_file(), "the model has none of its own"


def test_a_model_with_a_tokenizer_keeps_it(python: str, model: str, tmp_path: Path) -> None:
    (Path(model) / "tokenizer.json").write_text("{}", encoding="utf-8")
    with Server(python, model, 32, ["--model", model], tmp_path / "run") as server:
        assert server.tokenizer == model


def test_a_load_is_sent_and_what_came_of_it_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([ProcessorTime(1.0, 1.0), ProcessorTime(4.0, 2.0)])
    monkeypatch.setattr(place, "processor_time", lambda group: next(times))
    run = server.serve(load((40, 3), (16, 1), (17, 2)), "first")
    assert run["cpu_share"] == 0.75, "3 s ran, 1 s waited"
    words = asked(tmp_path, "bench_client")["words"]
    assert (value(words, "base-url"), value(words, "num-prompts")) == (server.url, "3")
    assert {"--ignore-eos", "--save-result", "--save-detailed"} <= set(words)
    rows = [json.loads(line) for line in (tmp_path / "run" / "first.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["timestamp"], row["input_length"], row["output_length"]) for row in rows] == [
        (10.0, 40, 3),
        (10.5, 16, 1),
        (11.0, 17, 2),
    ]
    assert [row["hash_ids"] for row in rows] == [[0, 1, 2], [3], [4, 5]], "blocks of 16 tokens of which no two are one"
    assert value(words, "timed-trace-chunk-hash-size") == "16"
    assert (run["rate_rps"], run["failed"]) == (2.5, 0)
    assert [request["arrival_s"] for request in run["requests"]] == [10.0, 10.5, 11.0]
    for request, (isl, osl) in zip(run["requests"], [(40, 3), (16, 1), (17, 2)], strict=True):
        assert (request["isl"], request["osl"], len(request["itls_s"])) == (isl, osl, osl - 1)
        assert request["first_token_s"] == pytest.approx(request["arrival_s"] + 0.3)
        assert request["finished_s"] == pytest.approx(request["first_token_s"] + 0.1 * (osl - 1))
    # the step before the load, the one at the first start, and the line that was not yet whole are none of it
    assert [step[0] for step in run["steps"]] == [10.5, 11.0]
    assert outside_s(run) == pytest.approx(0.05), "tokens at 0.3 s of steps that end after 0.25"


def test_a_client_that_fails_is_told_with_its_log(server: Server, tmp_path: Path) -> None:
    (tmp_path / "run" / "fails.client.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EngineError, match=r"client failed: .*server\.log"):
        server.serve(load((8, 2)), "fails")
    assert not (tmp_path / "run" / "fails.client.json").exists(), "what an earlier one left is no result"


def test_a_server_that_ends_or_is_silent_is_told(
    python: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Server(python, model, 32, ["--dies"], tmp_path / "run") as server,
        pytest.raises(EngineError, match=r"ended with 7: .*server\.log"),
    ):
        server.wait(60)
    with (
        Server(python, model, 32, [], tmp_path / "run") as server,
        pytest.raises(EngineError, match="did not answer within 0 s"),
    ):
        server.wait(0)
    assert server._process.poll() is not None, "it is ended with its context"
    assert not Path(server.tokenizer).exists()


def test_time_outside_of_steps_is_from_the_last_step_that_ended_before_each_first_token() -> None:
    steps = [[0.0, 1.0, 1, 1], [1.0, 1.0, 1, 1], [2.0, 1.0, 1, 1]]
    firsts = [0.5, 1.25, 2.5, 9.0]
    assert outside_s({"steps": steps, "requests": [{"first_token_s": at} for at in firsts]}) == pytest.approx(0.5)
