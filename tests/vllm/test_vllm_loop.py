"""Profile, fit and validate on real vLLM; how long anything takes decides nothing here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest

from calibrate.commands.fit import fit
from calibrate.commands.live import live
from calibrate.commands.validate import validate
from calibrate.experiments.loads import Lengths, poisson_load
from calibrate.experiments.profile import DEFAULTS, Options, Profiler
from calibrate.experiments.server import Server
from calibrate.experiments.store import PointStore
from calibrate.experiments.validation import read_measured
from calibrate.live.poll import Clock, poll, record
from calibrate.recording.bundle import read_steps
from calibrate.recording.run import read_run
from calibrate.vllm_process import EngineError, VllmProcess, engine_arguments, find_interpreter
from simulator.catalog.profiles import read_profile
from simulator.errors import InputError

MODEL = Path(__file__).resolve().parents[2] / "calibrate" / "models" / "small-llama"
ENGINE = ("--enforce-eager", "--block-size=32", "--max-model-len=1024", "--max-num-seqs=16")
ENGINE += ("--max-num-batched-tokens=256", "--no-enable-prefix-caching")


def command(out: Path) -> list[str]:
    run = ["calibrate", "profile", "--model", str(MODEL), "--out", str(out), "--repeats", "2", "--time-budget-s", "60"]
    return [sys.executable, "-m", "simulator.cli", *run, *ENGINE]


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile that Ctrl-C cut short and a second call finished."""
    out = tmp_path_factory.mktemp("loop") / "profile"
    with subprocess.Popen(command(out), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = next(line for line in process.stderr if line.startswith("5 of "))
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait() == 130, seen
    assert json.loads((out / "meta.json").read_text())["status"] == "partial"
    kept = (out / "points.jsonl").read_text()
    done = subprocess.run(command(out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "points.jsonl").read_text().startswith(kept)
    return out


def fitted(profiled: Path, out: Path) -> Path:
    """The profile; 1 says that this machine is too noisy to trust it, which decides nothing here either."""
    assert fit(profiled, out=out) in (0, 1)
    return out


def test_a_profile_holds_its_design_and_counts_what_the_engine_counts(profiled: Path) -> None:
    meta = json.loads((profiled / "meta.json").read_text())
    assert meta["self_test"]["recorded"] == meta["self_test"]["engine"]
    assert meta["self_test"]["engine"]["generation_tokens"] > 0
    assert meta["config"]["max_num_batched_tokens"] == 256
    assert meta["config"]["async_scheduling"] is False
    assert meta["points"]["failed"] == []
    steps = read_steps(profiled)[0].steps
    assert set(steps.regime.tolist()) == {0, 1, 2}
    assert steps.tokens.max() <= 256
    assert steps.sequences.max() == 16
    assert (steps.duration_s > 0).all()
    gaps_s = steps.gap_s[np.isfinite(steps.gap_s)]
    assert (gaps_s >= 0).all()
    assert len(gaps_s) > len(steps) / 4


def test_another_engine_does_not_go_on_in_the_same_folder(profiled: Path) -> None:
    with pytest.raises(InputError, match="another engine"):
        PointStore(profiled, {"arguments": ["--model", "other"], "seed": 0})


def test_fit_and_validate(profiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = fitted(profiled, tmp_path / "profile.json")
    assert read_profile(profile).ranges["tokens"][1] <= 256
    capsys.readouterr()
    code = validate(
        profiled,
        profile=profile,
        out=tmp_path,
        via="both",
        rates=(2.0, 4.0),
        isl_mean=100,
        osl_mean=12,
        duration_s=5.0,
        format="json",
    )
    assert code == 0
    result = json.loads(capsys.readouterr().out)
    assert {way: len(runs) for way, runs in result["runs"].items()} == {"process": 2, "server": 2}
    for way in ("process", "server"):
        for run in read_run(tmp_path / f"{way}.json").runs:
            # each request's prompt once, and each output token but the last: all of them went through the steps
            assert run.step_tokens.sum() == (run.isl + run.osl - 1).sum()
    assert (tmp_path / "report.html").stat().st_size > 0


def test_a_live_server_is_watched_under_load(profiled: Path, tmp_path: Path) -> None:
    """The rate and lengths that it was given are seen, and a profile twice as fast shows twice the drift."""
    profile_file, fast_file = fitted(profiled, tmp_path / "profile.json"), tmp_path / "fast.json"
    value = json.loads(profile_file.read_text())
    halves = {name: value["coefficients"][name] / 2 for name in value["coefficients"] if name.endswith("_s")}
    between = {name: value[name] / 2 for name in ("between_steps_s", "between_sequence_s")}
    fast_file.write_text(json.dumps({**value, **between, "coefficients": {**value["coefficients"], **halves}}))
    measured = read_measured(profiled, profile_file)
    load = poisson_load(measured.recording.config, Lengths(100.0, 16.0, 0.5), 3.0, 20.0, seed=1)
    vocabulary = int(measured.meta["model"]["vocab_size"])
    polls = tmp_path / "polls.jsonl"
    with Server(find_interpreter(None), measured.model, vocabulary, measured.arguments, tmp_path / "server") as server:
        server.wait()
        with ThreadPoolExecutor(1) as pool:
            served: list[Future[object]] = []
            for _ in record(
                poll(f"{server.url}/metrics", 2.0, np.inf, Clock(time.time, time.sleep), timeout_s=30.0), polls
            ):
                if served and served[0].done():
                    break
                served = served or [pool.submit(server.serve, load, "load")]
            served[0].result()
    assert live(profile=profile_file, from_=polls, out=tmp_path / "live") == 0
    report = json.loads((tmp_path / "live" / "report.json").read_text())
    assert report["gaps"] == []
    # the client may send one request ahead, to see whether the server answers
    assert report["load"]["rate_rps"] * report["duration_s"] == pytest.approx(len(load.isl), abs=1.5)
    assert report["load"]["isl_mean"] == pytest.approx(load.isl.mean(), rel=0.02)
    assert report["load"]["osl_mean"] == pytest.approx(load.osl.mean(), rel=0.02)
    assert live(profile=fast_file, from_=polls, out=tmp_path / "again") == 0
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["drift"]["factor"] == pytest.approx(2 * report["drift"]["factor"], rel=0.03)
    assert again["drift"]["significant"]
    corrected = read_profile(tmp_path / "again" / "profile.json")
    assert corrected.coefficients["host_s"] == pytest.approx(
        value["coefficients"]["host_s"] / 2 * again["drift"]["factor"]
    )


def test_a_killed_engine_is_started_again_and_larger_points_are_left_out(tmp_path: Path) -> None:
    processes: list[VllmProcess] = []
    arguments = engine_arguments(str(MODEL), ENGINE, DEFAULTS)

    def start() -> VllmProcess:
        processes.append(VllmProcess(find_interpreter(None), tmp_path / "vllm.log"))
        return processes[-1]

    def kill_once(done: int, total: int, left_s: float) -> None:
        if done == 3:
            os.kill(processes[0].pid, signal.SIGKILL)

    store = PointStore(tmp_path / "out", {})
    profiler = Profiler(start, arguments, store, Options(1, 60.0, 4), kill_once)
    profiler.run()
    first = store.failed[0]
    assert (first["failure"], profiler.restarts, len(processes)) == ("out_of_memory", 1, 2)
    for later in store.failed[1:]:
        assert later["message"].startswith("at least as large")
    assert len(store.measured) > 3
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["points"]["failed"] == store.failed


def test_arguments_that_vllm_refuses_are_named(tmp_path: Path) -> None:
    with VllmProcess(find_interpreter(None), tmp_path / "vllm.log") as process:
        with pytest.raises(EngineError, match="max_num_batched_tokens") as caught:
            process.call("start", arguments=["--model", str(MODEL), "--max-num-batched-tokens=2", "--max-num-seqs=4"])
        assert caught.value.kind == "refused"


def test_servecast_installs_beside_vllm() -> None:
    """Every dependency of servecast is there in a version that both accept."""
    names = [re.split(r"[<>=!~; \[]", line)[0] for line in requires("servecast") or () if "extra ==" not in line]
    bounds = [line for line in requires("servecast") or () if "extra ==" not in line]
    probe = (
        "import sys; from importlib.metadata import version; from packaging.requirements import Requirement\n"
        "for line in sys.argv[1:]:\n"
        "    r = Requirement(line); assert r.specifier.contains(version(r.name), prereleases=True), line\n"
    )
    found = subprocess.run([find_interpreter(None), "-c", probe, *bounds], capture_output=True, text=True, check=False)
    assert names
    assert found.returncode == 0, found.stderr


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    driver = f"{os.environ.get('SERVECAST_VLLM_PYTHON')} -m calibrate.driver"
    commands = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    own = [line for line in commands.splitlines() if driver in line and line.split()[0] == str(os.getpid())]
    assert own == []
