"""One server for many visitors: what one writes, uploads or leaves behind neither stops nor misleads the others."""

from __future__ import annotations

import bz2
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import checks, jobs, processes
from dashboard.check_worker import _check
from dashboard.command import _arguments
from dashboard.components.words import markdown, plain
from dashboard.limits import MAX_REQUESTS
from dashboard.loading import stamp
from dashboard.workspace import lay_out, load_confined
from simulator.errors import InputError, Problem
from simulator.results.bundle import BundleWriter, read_bundle
from simulator.results.scratch import is_alive
from simulator.results.shelf import bundle_folders, named_folders

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
TEXT = SCENARIO.read_text(encoding="utf-8")
POISSON = "kind: poisson, rate_rps: 4.0"

Open = Callable[..., AppTest]


def test_an_unknown_run_is_told_and_no_other_run_is_shown(open_view: Open) -> None:
    app = open_view("overview", run="gone")
    assert ["gone" in error.value for error in app.error] == [True]
    assert [one.value for one in app.title] == ["Overview"]
    assert not app.metric
    assert app.query_params["run"] == "gone"


def test_the_address_names_the_run_of_every_page(open_view: Open, runs: Path) -> None:
    app = open_view("load", run="")
    newest = bundle_folders((str(runs),))[0].name
    assert app.query_params["run"] == newest
    app.selectbox(key="run").set_value(next(path.name for path in runs.glob("small-*"))).run()
    assert app.query_params["run"].startswith("small-")
    del app.query_params["run"]
    app.run()
    assert app.selectbox(key="run").value.startswith("small-")


def test_views_that_need_no_run_work_beside_a_broken_one(open_view: Open) -> None:
    app = open_view("scenario", run="gone")
    assert not app.error
    assert app.title[0].value == "Scenario"
    assert any("gone" in warning.value for warning in app.warning)


def test_a_broken_run_is_told_without_the_folders_above_it(open_view: Open, runs: Path) -> None:
    (runs / "broken").mkdir()
    (runs / "broken/manifest.json").write_text("{")
    try:
        (error,) = open_view("overview", run="broken").error
    finally:
        shutil.rmtree(runs / "broken")
    assert error.value.startswith(f"{runs.name}/broken/manifest.json")


def test_what_is_no_plain_manifest_is_no_run(tmp_path: Path) -> None:
    for name in ("pipe", "folder", "link", "huge", "deep", "good"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe/manifest.json")
    (tmp_path / "folder/manifest.json").mkdir()
    (tmp_path / "good/manifest.json").write_text("{}")
    (tmp_path / "link/manifest.json").symlink_to(tmp_path / "good/manifest.json")
    (tmp_path / "huge/manifest.json").write_text(" " * 5_000_000)
    (tmp_path / "deep/manifest.json").write_text("[" * 100_000)
    assert {path.name for path in bundle_folders((str(tmp_path),))} == {"good", "deep"}
    for name in ("deep", "folder", "good", "pipe"):
        with pytest.raises(InputError):
            read_bundle(tmp_path / name)


def test_a_summary_without_topologies_is_broken(tmp_path: Path) -> None:
    for summary in ({}, {"topologies": {}, "order": []}, {"topologies": {"a": {}}, "order": ["b"]}):
        with BundleWriter(tmp_path / "run", {}) as bundle:
            bundle.json("summary.json", summary)
        with pytest.raises(InputError, match="holds no topologies"):
            read_bundle(tmp_path / "run")


def test_runs_of_one_name_are_told_apart_and_a_rewritten_file_is_read_again(tmp_path: Path) -> None:
    for parent in ("a", "b", "c/a"):
        (tmp_path / parent / "run").mkdir(parents=True)
        (tmp_path / parent / "run/manifest.json").write_text("{}")
    found = named_folders(bundle_folders([tmp_path / parent for parent in ("a", "b", "c/a")]))
    assert {path.parent.relative_to(tmp_path).as_posix() for path in found.values()} == {"a", "b", "c/a"}
    run = tmp_path / "a/run"
    before = stamp(run)
    (run / "summary.json").write_text("{}")
    assert stamp(run) != before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            POISSON,
            "kind: schedule, rate_rps: 0.6, spikes: [{start_s: 90, duration_s: 20, factor: 1.0e+7}]",
            f"more than the {MAX_REQUESTS:,} simulated requests",
        ),
        (
            "lambda, gpu: h100-sxm, replicas: 1",
            "lambda, gpu: h100-sxm, autoscaler: {kind: queue, min: 1, max: 2, target_per_replica: 8, period_s: 1.0e-6}",
            "period_s: must be at least",
        ),
        (POISSON, 'kind: trace, file: "a\\0b"', "upload it"),
        ("lambda, gpu: h100-sxm", "lambda, gpu: h100-sxm, hardware: /etc/hostname", r"hardware: .* upload it"),
        (POISSON, f"kind: trace, file: {'a' * 5000}", "no such file"),
        ("name: small", "name: .hidden", "begin with a dot"),
        ("name: small", f"name: {'n' * 300}", "at most 100 characters"),
    ],
)
def test_what_would_take_too_much_or_get_lost_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    root = tmp_path.resolve()
    with pytest.raises(InputError, match=words):
        load_confined(lay_out(root, "scenario.yaml", TEXT.replace(old, new, 1)), root)


@pytest.mark.parametrize("text", ["x: [" + "1," * 40_000 + "]", "a: " + "[" * 20_000, "\n" * 20_000])
def test_a_text_that_takes_long_to_read_is_refused_unread(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="more than 10,000 values"):
        lay_out(tmp_path, "scenario.yaml", text)


@pytest.mark.parametrize(
    "uploads",
    [
        {f"{k}.csv": b"" for k in range(21)},
        {f"{k}.csv": bytes(2**20) for k in range(9)},
        {".": b""},
        {"..": b""},
        {"a/b": b""},
        {"n" * 300: b""},
    ],
)
def test_uploads_have_plain_names_and_a_sum(tmp_path: Path, uploads: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match="upload"):
        lay_out(tmp_path, "scenario.yaml", TEXT, uploads)


@pytest.mark.exhaustive
def test_a_small_file_that_unpacks_to_a_large_one_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path.resolve()
    trace = bz2.compress(b"arrival_s,input_tokens,output_tokens\n") + 20 * bz2.compress(b"0,1,1\n" * 1_000_000)
    text = TEXT.replace(POISSON, "kind: trace, file: t.csv.bz2", 1)
    file = lay_out(root, "scenario.yaml", text, {"t.csv.bz2": trace})
    monkeypatch.setattr(checks, "_WAIT_S", 5.0)
    with pytest.raises(InputError, match=r"too much memory|cannot be read"):
        checks.check(file, root)
    monkeypatch.setattr(checks, "_WAIT_S", 60.0)
    assert checks.check(lay_out(root, "scenario.yaml", TEXT), root) > 0
    assert processes.pool("dashboard.check_worker", 1) is processes.pool("dashboard.check_worker", 1)


def test_problems_name_no_folder_of_the_server(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    file = lay_out(root, "scenario.yaml", TEXT.replace("horizon_s: 120", "horizon_s: -1"))
    with pytest.raises(InputError) as caught:
        checks.check(file, root)
    assert str(root) not in str(caught.value)
    assert str(caught.value).startswith("scenario.yaml:")


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    dead = next(pid for pid in range(4_000_000, 5_000_000) if not is_alive(pid))
    for name in (f".run.{dead}", f".run.{os.getpid()}", ".jobs"):
        (tmp_path / name).mkdir()
    jobs._forget_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((".jobs", f".run.{os.getpid()}"))


@pytest.mark.parametrize(
    ("plain_text", "wrong", "path"),
    [
        ("llama-3.1-8b-instruct", "nosuch", "model"),
        ("site: lambda", "site: nowhere", "topologies.cloud.pools[0].site"),
        ("gpu: h100-sxm, replicas: 1}]}", "gpu: h100-sxm, tensor_parallel_size: 3}]}", "topologies.cloud.pools[0]"),
        ("offer: together/llama-3.3-70b", "offer: nobody/any", "topologies.api.providers[0].offer"),
    ],
)
def test_what_a_run_would_refuse_is_refused_in_the_editor(
    tmp_path: Path, plain_text: str, wrong: str, path: str
) -> None:
    root = tmp_path.resolve()
    file = lay_out(root, "scenario.yaml", TEXT.replace(plain_text, wrong))
    assert wrong in file.read_text()
    (problem, *_) = _check(file, root)["problems"]
    assert problem["path"].startswith(path)
    assert problem["line"] is not None
    assert "problems" not in _check(lay_out(root, "scenario.yaml", TEXT), root)


def test_texts_of_a_run_fetch_nothing_and_hide_nothing() -> None:
    assert plain("![x](http://a/p.png) <b> $1 :red[z]") == r"\!\[x\]\(http\://a/p.png\) \<b\> \$1 \:red\[z\]"
    assert plain("_a_b_ - c\n- d\n===") == "\\_a_b\\_ - c\n\\- d\n\\==="
    assert markdown("a ![x](http://a/p.png) [b](http://c)") == r"a !\[x]\(http://a/p.png) [b]\(http://c)"
    assert markdown("costs $1") == r"costs \$1"


@pytest.mark.parametrize(
    ("host", "names", "hosts"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "::1"}),
        ("0.0.0.0", [], set()),
        ("0.0.0.0", ["plan.example"], {"localhost", "127.0.0.1", "::1", "plan.example"}),
        ("10.0.0.5", [], {"localhost", "127.0.0.1", "::1", "10.0.0.5"}),
    ],
)
def test_the_server_answers_to_its_own_names_alone(host: str, names: list[str], hosts: set[str]) -> None:
    prefix = "--server.allowedHosts="
    found = {text.removeprefix(prefix) for text in _arguments(host, 1, False, names) if text.startswith(prefix)}
    assert found == hosts


def test_problems_keep_their_place() -> None:
    from dashboard.workspace import within

    found = within(Path("/srv/x"), Problem("no /srv/x/a", "/srv/x/s.yaml", 1, 2, got="/srv/x/b"))
    assert found == Problem("no a", "s.yaml", 1, 2, got="b")


def test_whoever_opens_a_browser_for_the_first_time_is_not_asked_for_an_address() -> None:
    """Streamlit asks in the terminal before it serves, unless it is told not to."""
    assert "--server.showEmailPrompt=false" in _arguments("127.0.0.1", 1, True, [])
