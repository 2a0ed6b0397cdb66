"""What comes from outside is refused at the border: types, ranges, files that are none, and in how many words."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.cache_folder import ensure_cache
from simulator.catalog.models import models
from simulator.catalog.shapes.config import shape_from_config
from simulator.cli.main import run_command
from simulator.cli.problems import MOST_PROBLEMS, in_words, of_system
from simulator.errors import InputError, Problem
from simulator.resolve.admissible import expected_requests
from simulator.resolve.demand import workload_spec
from simulator.resolve.memory import answer
from simulator.resolve.memory_question import Question
from simulator.resolve.topology import plan_topologies
from simulator.results.bundle import read_bundle
from simulator.results.files import output_file, write_bytes
from simulator.results.inputs import input_json, input_text
from simulator.run.budget import Budget, check_needs, checked_budget, needs_of, within
from simulator.run.simulate import simulate

CONFIG = models()["qwen3-32b"].config
OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, 0) for key in ("hidden_size", "num_hidden_layers", "vocab_size")],
        *[("vocab_size", value) for value in (-1, 1e300, "8", [8])],
        ("hidden_size", float("nan")),
        ("hidden_size", float("inf")),
        ("hidden_size", 10**400),
        ("num_attention_heads", {"a": 1}),
        ("head_dim", True),
        ("intermediate_size", 0.5),
        ("layer_types", 7),
        ("layer_types", [1, 2]),
        ("rope_scaling", {"rope_type": "yarn", "factor": "x"}),
        ("tie_word_embeddings", "yes"),
    ],
)
def test_a_key_of_a_config_that_holds_what_it_cannot_is_named(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"config.json: {key}"):
        shape_from_config("mine", {**CONFIG, key: value}, "config.json")


def test_a_config_of_layers_or_matrices_of_no_size_is_refused() -> None:
    without_width = {key: value for key, value in CONFIG.items() if key != "head_dim"}
    with pytest.raises(InputError, match="num_attention_heads"):
        shape_from_config("mine", {**without_width, "num_attention_heads": 0})
    with pytest.raises(InputError, match="no size"):
        shape_from_config("mine", {**CONFIG, "num_attention_heads": 0, "head_dim": 128})
    experts = models()["qwen3-30b-a3b"].config
    with pytest.raises(InputError, match="must name all"):
        shape_from_config("mine", {**experts, "moe_layer_freq": [1]})


def test_questions_of_memory_have_ranges() -> None:
    with pytest.raises(InputError, match=r"tp: must be from 1.*\n.*|max_num_seqs: must be from 1") as caught:
        answer(Question("qwen3-14b", "h100-sxm", tp=0, max_num_seqs=10**12))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    match kind:
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)
        case "link to itself":
            place.symlink_to(place.name)
        case _:
            place.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="place: cannot be read"):
        input_text(place)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", "\ud800"])
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"not JSON|not UTF-8"):
        input_json(file)


def test_a_file_beyond_the_size_that_is_held_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text("1234")
    assert input_json(file, 4) == 1234
    with pytest.raises(InputError, match="larger than 3 bytes"):
        input_json(file, 3)


@pytest.mark.parametrize("value", ["1.0e+300", "1.0e-300", "-1.0e+16", str(10**30)])
def test_numbers_that_nothing_measures_are_refused(tmp_path: Path, value: str) -> None:
    text = chat(OWN, study="months: 6").replace("tpot_s: {p95: 0.03}", f"tpot_s: {{p95: {value}}}")
    with pytest.raises(InputError, match=r"scenario.yaml:\d+:\d+: workload.*p95: must be"):
        written(tmp_path, text)


def test_of_many_problems_ten_are_told_short_and_without_control_characters() -> None:
    error = InputError(*(Problem("is\x1b[31m wrong", "file", got="x" * 5000) for _ in range(1234)))
    lines = in_words(error).splitlines()
    assert len(lines) == MOST_PROBLEMS + 1
    assert lines[-1] == "and 1,224 more"
    assert max(map(len, lines)) < 200
    assert "\x1b" not in in_words(error)


def test_what_the_system_refuses_is_no_bug_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert of_system(OSError(errno.ENOSPC, "No space left on device", "runs/x")) == "runs/x: the disk is full"
    assert run_command(["verify", "versions", "x" * 300]) == 2
    assert "File name too long" in capsys.readouterr().err


def test_a_config_of_the_catalog_stays_what_it_was() -> None:
    assert shape_from_config("mine", json.loads(json.dumps(CONFIG))).layers == CONFIG["num_hidden_layers"]


def test_a_run_in_which_nothing_arrived_has_all_its_files_and_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = "api: {providers: [{name: api, offer: together/llama-3.3-70b}]}"
    text = chat(api, study="months: 6", horizon_s=10, warmup_s=0).replace("rate_rps: 15", "rate_rps: 1.0e-9")
    kept = text.replace("keep_requests: false", "keep_requests: true")
    folder = simulate(written(tmp_path, kept), tmp_path).bundle
    requests = read_bundle(folder).table("requests")
    assert len(requests) == 0
    assert {"topology", "class", "arrival_s", "status"} <= {*requests.columns}
    assert run_command(["verify", "bundle", str(folder)]) == 0
    (folder / "costs.parquet").write_bytes((folder / "costs.parquet").read_bytes()[:-1])
    assert run_command(["verify", "bundle", str(folder)]) == 1
    assert "costs.parquet: was altered" in capsys.readouterr().out
    assert run_command(["report", str(folder)]) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("horizon_s: 60", "horizon_s: 300000000"),
            r"needs about .* of one core: make it shorter, or raise --time-limit",
        ),
        (("max_model_len: 8192", "max_model_len: 8192, num_gpu_blocks_override: 2000000000"), r"raise --memory-limit"),
    ],
)
def test_what_needs_too_much_does_not_begin(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    text = chat(OWN, study="months: 6", rate_rps=50).replace("run: {", "run: {max_requests: 1000000000000000, ")
    text = text.replace("enable_prefix_caching: false", "enable_prefix_caching: true")
    loaded = written(tmp_path, text.replace(*change))
    with pytest.raises(InputError, match=words):
        check_needs(needs_of(loaded, plan_topologies(loaded)), checked_budget(None, 1.0))


def test_all_turns_of_the_conversations_that_are_built_together_are_in_the_estimate(tmp_path: Path) -> None:
    """A million turns a second for 60 s are 60 conversations of a million turns each; of those of one turn 2,048 are
    built together."""
    needs = {}
    for turns in (1, 1_000_000):
        sessions = f"{{kind: sessions, rate_rps: 1000000, turns: {turns}, think_s: 1, user_tokens: 1}}"
        text = chat(OWN, study="months: 6").replace("{kind: poisson, rate_rps: 15}", sessions)
        loaded = written(tmp_path, text)
        needs[turns] = needs_of(loaded, plan_topologies(loaded))
    more_bytes = needs[1_000_000].memory_bytes - needs[1].memory_bytes
    assert more_bytes == pytest.approx(950 * (60 * 1_000_000 - 2048))
    with pytest.raises(InputError, match=r"raise --memory-limit"):
        check_needs(needs[1_000_000], checked_budget(None, 8.0))


@pytest.mark.parametrize(("think_s", "turns_together"), [(0.1, 20_480), (2, 90_000), (10, 400_000), (1e9, 600_000)])
def test_turns_to_come_of_conversations_under_way_are_in_the_estimate(
    tmp_path: Path, think_s: float, turns_together: int
) -> None:
    """Of 1,000 conversations of 10 turns a second, for 60 s: 2,048 are built together; those that pause for 18 s in all
    have half of their turns left on average, of 90 s two thirds at 60 s; and who pauses for ever has all of them."""
    needs = {}
    for kind, own in (("poisson", ""), ("sessions", f", turns: 10, think_s: {think_s}, user_tokens: 1")):
        arrivals = f"{{kind: {kind}, rate_rps: 10000{own}}}"
        text = chat(OWN, study="months: 6").replace("{kind: poisson, rate_rps: 15}", arrivals)
        loaded = written(tmp_path, text)
        needs[kind] = needs_of(loaded, plan_topologies(loaded)).memory_bytes
    assert needs["sessions"] - needs["poisson"] == pytest.approx(950 * turns_together, rel=1e-4)


def test_spikes_and_rounds_of_a_trace_are_in_the_estimate(tmp_path: Path) -> None:
    spikes = "spikes: [{start_s: 10, duration_s: 20, factor: 100}, {start_s: 20, duration_s: 10, factor: 10}]"
    schedule = f"{{kind: schedule, rate_rps: 2, {spikes}}}"
    (tmp_path / "t.csv").write_text("arrival_s,input_tokens,output_tokens\n0,10,1\n1,10,1\n2,10,1\n")
    trace = "{kind: trace, file: t.csv, loop: true}"
    for arrivals, expected in ((schedule, 2 * (40 + 10 * 100 + 10 * 1000)), (trace, 3 * 60 / 2)):
        text = chat(OWN, study="months: 6").replace("{kind: poisson, rate_rps: 15}", arrivals)
        (spec,) = workload_spec(written(tmp_path, text).scenario, tmp_path).classes
        assert expected_requests(spec, 60) == pytest.approx(expected)


def test_time_and_memory_that_are_over_end_it_by_design() -> None:
    with (
        pytest.raises(InputError, match=r"--time-limit: the time limit of 0\.05 s is over"),
        within(Budget(0.05, 2.0**40)),
    ):
        time.sleep(60)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    with (
        pytest.raises(InputError, match=r"--memory-limit: the memory limit of 0\.5 GiB"),
        within(Budget(None, 2.0**29)),
    ):
        np.ones(2**31)
    assert np.ones(2**20).sum() == 2**20
    with pytest.raises(InputError, match=r"--time-limit.*\n.*--memory-limit"):
        checked_budget(float("nan"), 0.0)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "nowhere"])
def test_nothing_but_a_plain_file_is_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / ("no/such" if kind == "nowhere" else "place")
    match kind:
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)
        case "link":
            place.symlink_to("/dev/null")
    with pytest.raises(InputError, match="cannot be written"):
        output_file(place)
    assert output_file(tmp_path / "new") == tmp_path / "new"


@pytest.mark.skipif(sys.platform != "linux", reason="cache folders are named by XDG_CACHE_HOME")
def test_a_cache_folder_that_cannot_be_written_is_replaced_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    ensure_cache()
    instead = Path(os.environ["XDG_CACHE_HOME"])
    assert instead.parent == tmp_path
    assert instead.stat().st_mode & 0o077 == 0
    assert "cannot be written" in capsys.readouterr().err
    ensure_cache()
    assert capsys.readouterr().err == ""
    instead.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        ensure_cache()


def test_a_place_that_takes_no_file_is_told_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        write_bytes(tmp_path / "file/report.html", b"x")
    assert str(caught.value) == f"{tmp_path}/file/report.html: cannot be written: Not a directory"
