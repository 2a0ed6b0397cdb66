"""What visitors bring: files elsewhere, links, pipes, texts that end scripts, odd names and numbers, full disks."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import jobs
from dashboard.changes import Change, assignments
from dashboard.workspace import lay_out, load_confined
from simulator.errors import InputError
from simulator.report.html import spec
from simulator.run.fingerprint import fingerprint
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.scenario.references import references

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
TEXT = SCENARIO.read_text(encoding="utf-8")
ARRIVALS, LENGTHS = "kind: poisson, rate_rps: 4.0", "osl: {kind: lognormal, mean: 60, cv: 0.5}"
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "num_hidden_layers": 4}
LLAMA |= {
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}


def drafting(model: str) -> str:
    method = f"method: draft_model, model: {model}, num_speculative_tokens: 3, acceptance: 0.7"
    return TEXT.replace("max_model_len: 8192}", f"max_model_len: 8192, speculative_config: {{{method}}}}}")


@pytest.mark.parametrize("there", [True, False])
def test_a_draft_model_elsewhere_is_refused_in_the_same_words_whether_it_is_there(tmp_path: Path, there: bool) -> None:
    outside, root = tmp_path / "outside.json", (tmp_path / "root").resolve()
    if there:
        outside.write_text('{"model_type": "SECRETVALUE"}')
    with pytest.raises(InputError) as caught:
        load_confined(lay_out(root, "scenario.yaml", drafting(str(outside))), root)
    (problem,) = caught.value.problems
    assert problem.message == "no such file in the scenario's folder: upload it"
    assert (problem.path, problem.line) == ("engine.speculative_config.model", 5)
    assert problem.got == str(outside)[:100]


def test_a_draft_model_is_part_of_a_run_as_its_model_is(tmp_path: Path) -> None:
    """Another draft under the same name is another run, and the bundle holds a copy of it."""

    def scenario(hidden_size: int) -> LoadedScenario:
        config = LLAMA | {"hidden_size": hidden_size, "intermediate_size": 3 * hidden_size}
        (tmp_path / "d.json").write_text(json.dumps(config))
        return load_scenario(tmp_path / "s.yaml")

    (tmp_path / "s.yaml").write_text(drafting("d.json"))
    names = set()
    for hidden_size in (1024, 4096):
        loaded = scenario(hidden_size)
        (draft,) = (file for file in references(loaded) if file.path == "engine.speculative_config.model")
        assert draft.copy == f"models/{tmp_path.name}/d.json"
        names.add(fingerprint(loaded, references(loaded)))
    assert len(names) == 2


def test_links_and_pipes_in_a_run_are_not_offered(open_view: Callable[..., AppTest], runs: Path) -> None:
    (found,) = runs.glob("small-*")
    trap = runs / "trap"
    shutil.copytree(found, trap)
    try:
        (trap / "passwd.csv").symlink_to("/etc/passwd")
        os.mkfifo(trap / "pipe.csv")
        (trap / "folder.csv").mkdir()
        app = open_view("export", run="trap")
    finally:
        shutil.rmtree(trap)
    assert not app.error
    offered = " ".join(button.proto.label for button in app.get("download_button"))
    assert "summary.json" in offered
    assert not any(name in offered for name in ("passwd", "pipe", "folder"))


@pytest.mark.parametrize("name", ["<!--<script>", "</script>", "a\u2028b\u2029", "a\nb", "\\u003c", '"', "__x__"])
def test_a_chart_of_any_text_ends_no_script_and_keeps_the_text(name: str) -> None:
    chart = alt.Chart(pd.DataFrame({"topology": [name], "usd": [1.0]})).mark_bar().encode(x="usd:Q", y="topology:N")
    written = spec(chart)
    assert not {"<", "\u2028", "\u2029", "\n"} & {*written}
    assert json.loads(written)["data"]["values"] == [{"topology": name, "usd": 1.0}]


def test_a_name_with_a_point_is_changed_like_any_other(tmp_path: Path) -> None:
    pointed = TEXT.replace("  own: {pools: [{name: base", "  a.b: {pools: [{name: c.d")
    (tmp_path / "s.yaml").write_text(pointed)
    plain, change = load_scenario(tmp_path / "s.yaml"), Change(2.0, 1, 0.5, 0.5, 0.5)
    changed = load_scenario(tmp_path / "s.yaml", sets=assignments(plain, change)).scenario
    (pool,) = changed.topologies["a.b"].pools
    assert (pool.name, pool.replicas) == ("c.d", 2)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (ARRIVALS, "kind: gamma, rate_rps: 4.0, cv: 1.0e-300", "arrivals.cv: must be 0, or at least"),
        (LENGTHS, "osl: {kind: lognormal, mean: 60, cv: 1.0e+200}", "lengths.osl.cv: must be at most"),
        (ARRIVALS, "kind: trace, file: deep.jsonl", "deep.jsonl:1: is not a JSON object"),
    ],
)
def test_odd_numbers_and_files_are_problems_at_their_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    uploads = {"deep.jsonl": b'{"a":' + b"[" * 15_000}
    with pytest.raises(InputError) as caught:
        load_confined(lay_out(tmp_path, "scenario.yaml", TEXT.replace(old, new), uploads), tmp_path.resolve())
    assert any(words in str(problem) for problem in caught.value.problems), str(caught.value)


@pytest.mark.parametrize("name", ["requests.parquet", "costs.parquet"])
def test_a_broken_table_is_told_in_words(open_view: Callable[..., AppTest], runs: Path, name: str) -> None:
    (found,) = runs.glob("small-*")
    cut = runs / "cut"
    shutil.copytree(found, cut)
    try:
        (cut / name).write_bytes(b"PAR1 and no more")
        errors = open_view("engine" if name.startswith("requests") else "cost", run="cut").error
    finally:
        shutil.rmtree(cut)
    assert [name in error.value and "This view failed" not in error.value for error in errors] == [True]


@pytest.mark.parametrize("place", ["lay_out", "write_status"])
def test_a_run_for_which_no_space_is_left_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        why = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")
        raise shutil.Error([("a", "b", str(why))]) if place == "lay_out" else why

    monkeypatch.setattr(jobs, place, full)
    with pytest.raises(InputError, match="the run cannot be written: the disk is full"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {})
    assert not list((tmp_path / ".jobs").iterdir())
