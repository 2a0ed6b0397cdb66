"""A scenario typed into the browser: what it may not ask of a server that others share, each told at its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import jobs
from dashboard.components import job_panel
from dashboard.line import Status
from dashboard.workspace import lay_out, load_confined, text_of_run
from simulator.errors import InputError

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"


def refused(tmp_path: Path, text: str) -> str:
    root = tmp_path.resolve()
    with pytest.raises(InputError) as caught:
        load_confined(lay_out(root, "scenario.yaml", text), root)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("replications: 2", "replications: 100000", "run.replications: must be at most"),
        ("kind: poisson, rate_rps: 4.0", "kind: poisson, rate_rps: 1.0e+12", "arrivals.rate_rps: must be at most"),
        ("kind: poisson, rate_rps: 4.0", "kind: closed_loop, concurrency: 2000000000", "concurrency: must be at most"),
        ("replicas: 1", "replicas: 2000000000", "replicas: is above run.max_replicas"),
        ("seed:", "max_replicas: 100000, seed:", "run.max_replicas: must be at most"),
        ("seed:", "sample_s: 1.0e-9, seed:", "run.sample_s: must be at least"),
        ("cost: {draws: 100}", "study: {months: 100000000}", "study.months: must be at most"),
        ("llama-3.1-8b-instruct", "/etc", "upload it (got /etc)"),
        ("kind: poisson, rate_rps: 4.0", "kind: trace, file: ../../etc/passwd", "upload it (got ../../etc/passwd)"),
        ("name:", f"# {'x' * 100_000}\nname:", "is longer than"),
    ],
)
def test_what_is_too_much_is_told_at_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = SCENARIO.read_text()
    assert old in text
    assert words in refused(tmp_path, text.replace(old, new, 1))


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    root = (tmp_path / "root").resolve()
    root.mkdir()
    (root / "inside.json").symlink_to(outside)
    text = SCENARIO.read_text().replace("kind: poisson, rate_rps: 4.0", "kind: trace, file: inside.json", 1)
    with pytest.raises(InputError, match="upload it"):
        load_confined(lay_out(root, "scenario.yaml", text), root)


def test_the_form_changes_the_text_and_the_text_the_form(open_view: Callable[..., AppTest]) -> None:
    app = open_view("scenario")
    app.text_area(key="scenario.text").set_value(SCENARIO.read_text()).run()
    assert not app.error
    seed = app.number_input(key="scenario.form.run.seed")
    seed.set_value(seed.value + 35)
    app.button(key="scenario.form.apply").click().run()
    text = app.text_area(key="scenario.text").value
    assert f"seed: {seed.value}" in text
    app.text_area(key="scenario.text").set_value(text.replace(f"seed: {seed.value}", "seed: 4")).run()
    assert app.number_input(key="scenario.form.run.seed").value == 4


def test_changes_of_the_text_are_taken_back_one_by_one_or_all(open_view: Callable[..., AppTest]) -> None:
    app = open_view("scenario")
    begun = app.text_area(key="scenario.text").value
    assert app.button(key="scenario.undo").disabled
    assert app.button(key="scenario.reset").disabled
    texts = [SCENARIO.read_text(), SCENARIO.read_text().replace("seed: 3", "seed: 5")]
    for text in texts:
        app.text_area(key="scenario.text").set_value(text).run()
    app.number_input(key="scenario.form.run.seed").set_value(6)
    app.button(key="scenario.form.apply").click().run()
    assert "seed: 6" in app.text_area(key="scenario.text").value
    for text in (*reversed(texts), begun):
        app.button(key="scenario.undo").click().run()
        assert app.text_area(key="scenario.text").value == text
    assert app.button(key="scenario.undo").disabled
    app.text_area(key="scenario.text").set_value(texts[0]).run()
    app.button(key="scenario.reset").click().run()
    assert app.text_area(key="scenario.text").value == begun
    app.button(key="scenario.undo").click().run()
    assert app.text_area(key="scenario.text").value == texts[0], "what is reset can be taken back, too"
    app.selectbox(key="scenario.from").select_index(1).run()
    assert app.button(key="scenario.undo").disabled, "steps of another scenario"


def test_the_form_changes_what_is_written_when_its_button_is_pressed(open_view: Callable[..., AppTest]) -> None:
    """Who leaves the text by the form's button has changed both since the page was shown."""
    app = open_view("scenario")
    app.text_area(key="scenario.text").set_value(SCENARIO.read_text()).run()
    app.text_area(key="scenario.text").set_value(SCENARIO.read_text().replace("name: small", "name: mine"))
    app.number_input(key="scenario.form.run.seed").set_value(36)
    app.button(key="scenario.form.apply").click().run()
    text = app.text_area(key="scenario.text").value
    assert "name: mine" in text
    assert "seed: 36" in text
    app.text_area(key="scenario.text").set_value("name: [mine")
    app.number_input(key="scenario.form.run.seed").set_value(37)
    app.button(key="scenario.form.apply").click().run()
    assert app.text_area(key="scenario.text").value == "name: [mine"
    assert not app.exception
    assert app.error


def test_what_is_written_stays_when_another_run_is_shown(open_view: Callable[..., AppTest], runs: Path) -> None:
    app = open_view("scenario")
    app.text_area(key="scenario.text").set_value(SCENARIO.read_text()).run()
    (other,) = runs.glob("busier-*")
    app.selectbox(key="run").select(other.name).run()
    assert app.text_area(key="scenario.text").value == SCENARIO.read_text()
    app.selectbox(key="scenario.from").select("(shown run)").run()
    assert app.text_area(key="scenario.text").value == text_of_run(other)


def test_who_writes_on_while_a_run_goes_on_keeps_it(
    open_view: Callable[..., AppTest], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that is shown when it is done is that of an earlier text; any other run's text comes with it."""
    (other,) = runs.glob("busier-*")
    (first,) = runs.glob("small-*")
    open_ = Status(state="running", kind="run", name="small")
    found = {"1": open_}
    monkeypatch.setattr(jobs, "start", lambda *_, **__: "1")
    monkeypatch.setattr(jobs, "status", lambda _, job: found.get(job))
    monkeypatch.setattr(job_panel, "_ended", lambda _: None)  # links to pages that there are not here
    app = open_view("scenario")
    app.selectbox(key="scenario.from").select("(shown run)").run()
    app.button(key="scenario.run").click().run()
    app.text_area(key="scenario.text").set_value(SCENARIO.read_text().replace("seed: 3", "seed: 5")).run()
    found["1"] = replace(open_, state="done", bundle=other.name)
    app.run()
    assert app.selectbox(key="run").value == other.name
    assert "seed: 5" in app.text_area(key="scenario.text").value
    app.selectbox(key="run").select(first.name).run()
    assert app.text_area(key="scenario.text").value == text_of_run(first)
    app.selectbox(key="run").select(other.name).run()
    assert app.text_area(key="scenario.text").value == text_of_run(other)
