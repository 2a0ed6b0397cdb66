"""Cards, forms and changes of the dashboard for figures that are made up: each label, value, sign and limit by hand."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.changes import Change, assignments
from dashboard.components.keep import _rename, _say
from dashboard.components.main_values import _apply, main_values
from dashboard.views.latency import why_no_gaps
from dashboard.views.overview import _delta
from dashboard.views.what_if import _replication_words, _signed, _words
from simulator.errors import InputError
from simulator.results.notes import read_note, write_note
from simulator.results.seal import MANIFEST
from simulator.scenario.load import LoadedScenario, load_scenario

TEXT = """
schema_version: 1
name: forms
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 12}
      lengths: {isl: 900, osl: 150}
      slo: {ttft_s: {p95: 1.0}, e2e_s: {p99: 20}}
    - name: users
      arrivals: {kind: closed_loop, concurrency: 3, think_s: 1}
      lengths: {isl: 900, osl: 150}
topologies:
  own:
    pools:
      - {name: base, site: lambda, gpu: h100-sxm, replicas: 2, tensor_parallel_size: 4}
      - {name: peak, site: lambda, gpu: l4, autoscaler: {min: 1, max: 5, target_per_replica: 20}}
      - {name: open, site: lambda, gpu: l40s, replicas: 1, autoscaler: auto}
    routing: {kind: overflow, when: {outstanding_per_replica: 40}}
run: {horizon_s: 300, replications: 3, seed: 11}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("forms") / "forms.yaml"
    place.write_text(TEXT)
    return place


@pytest.fixture(scope="module")
def loaded(file: Path) -> LoadedScenario:
    return load_scenario(file)


def test_the_form_names_each_value_at_its_place(loaded: LoadedScenario) -> None:
    base, peak, is_open = (("topologies", "own", "pools", k) for k in range(3))
    chat, users = (("workload", "classes", k) for k in range(2))
    assert [(one.section, one.label, one.steps, one.value, one.kind) for one in main_values(loaded)] == [
        ("Run", "Model", ("model",), "llama-3.1-8b-instruct", "models"),
        ("Run", "Horizon [s]", ("run", "horizon_s"), 300.0, ""),
        ("Run", "Replications", ("run", "replications"), 3, ""),
        ("Run", "Seed", ("run", "seed"), 11, ""),
        ("Requests: chat", "Requests per second", (*chat, "arrivals", "rate_rps"), 12.0, ""),
        ("Requests: chat", "SLO: TTFT p95 [s]", (*chat, "slo", "ttft_s", "p95"), 1.0, ""),
        ("Requests: chat", "SLO: E2E p99 [s]", (*chat, "slo", "e2e_s", "p99"), 20.0, ""),
        ("Requests: users", "Users", (*users, "arrivals", "concurrency"), 3, ""),
        ("own: base", "GPU", (*base, "gpu"), "h100-sxm", "gpus"),
        ("own: base", "GPUs of a replica (TP)", (*base, "tensor_parallel_size"), 4, ""),
        ("own: base", "Replicas", (*base, "replicas"), 2, ""),
        ("own: peak", "GPU", (*peak, "gpu"), "l4", "gpus"),
        ("own: peak", "GPUs of a replica (TP)", (*peak, "tensor_parallel_size"), 1, ""),
        ("own: peak", "Fewest replicas", (*peak, "autoscaler", "min"), 1, ""),
        ("own: peak", "Most replicas", (*peak, "autoscaler", "max"), 5, ""),
        ("own: open", "GPU", (*is_open, "gpu"), "l40s", "gpus"),
        ("own: open", "GPUs of a replica (TP)", (*is_open, "tensor_parallel_size"), 1, ""),
    ]


def _form(file: str) -> None:
    from pathlib import Path

    import streamlit as st

    from dashboard.components.main_values import show_main_values
    from simulator.scenario.load import load_scenario

    st.session_state.setdefault("text", Path(file).read_text())
    show_main_values(load_scenario(file), st.session_state["text"], "text")


def test_numbers_step_by_one_and_are_not_negative_and_a_change_goes_into_the_text(file: Path) -> None:
    app = AppTest.from_function(_form, kwargs={"file": str(file)}).run()
    assert not app.exception
    inputs = {one.label: one for one in app.number_input}
    assert (inputs["Users"].step, inputs["Users"].min, inputs["Users"].value) == (1, 0, 3)
    assert (inputs["Requests per second"].min, inputs["Requests per second"].value) == (0.0, 12.0)
    assert [one.value for one in app.selectbox] == ["llama-3.1-8b-instruct", "h100-sxm", "l4", "l40s"]
    assert [one.value for one in app.markdown] == [
        f"**{section}**"
        for section in ("Run", "Requests: chat", "Requests: users", "own: base", "own: peak", "own: open")
    ]
    inputs["Users"].set_value(7)
    app.button(key="scenario.form.apply").click().run()
    assert app.session_state["text"] == TEXT.replace("concurrency: 3", "concurrency: 7")


def test_a_field_that_a_browser_did_not_send_stays_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(main_values(load_scenario(file)))
    users = next(value for value in values if value.label == "Users")
    monkeypatch.setattr("streamlit.session_state", state := {"text": TEXT, users.key: 7})
    _apply(values, "text")
    assert state["text"] == TEXT.replace("concurrency: 3", "concurrency: 7")


def test_neither_name_nor_note_of_a_run_is_lost_where_a_browser_did_not_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlit.session_state", {})
    (folder := tmp_path / "chat").mkdir()
    (folder / MANIFEST).write_text("{}")
    write_note(folder, "as offered in May")
    shown: list[str | None] = []
    _rename(folder, "name", shown.append)
    _say(folder, "note")
    assert (shown, read_note(folder).strip()) == (["chat"], "as offered in May")


def _cards(sides: dict, base: dict) -> None:
    from dashboard.views.overview import _card

    for name, found in sides.items():
        _card(name, found, base, name == "own")


def summary(usd: float, share: float | None, p99: float | None) -> dict[str, Any]:
    return {
        "cost": {"usd_per_month": usd, "usd_per_million_tokens": usd / 1000},
        "metrics": {"slo_met": True, "slo_attainment": share, "ttft_s": {"p99": p99}},
    }


def test_a_card_shows_four_figures_and_how_they_differ_from_the_baseline() -> None:
    own = summary(1000.0, 0.98, 0.25)
    sides = {"own": own, "rent": summary(1250.0, 0.965, 0.2), "lost": summary(500.0, None, None)}
    app = AppTest.from_function(_cards, kwargs={"sides": sides, "base": own}).run()
    assert not app.exception
    labels = [
        ":small[$ per month]",
        ":small[$ per 1M tokens, delivered]",
        ":small[SLO attainment]",
        ":small[TTFT p99 [ms]]",
    ]
    found = [(one.label, one.value, one.delta) for one in app.metric]
    assert [label for label, *_ in found] == 3 * labels
    assert [one[1:] for one in found] == [
        *(("1,000", ""), ("1.000", ""), ("98.00%", ""), ("250", "")),
        *(("1,250", "+25 %"), ("1.250", ""), ("96.50%", "-1.50 points"), ("200", "-50 ms")),
        *(("500", "-50 %"), ("0.500", ""), ("-", ""), ("-", "")),
    ]
    assert [":gray-badge[baseline]" in one.value for one in app.markdown] == [True, False, False]


@pytest.mark.parametrize(
    ("value", "digits", "unit", "shown"),
    [
        (25.0, "+.0f", "%", "+25 %"),
        (-1.5, "+.2f", "points", "-1.50 points"),
        (0.4, "+.0f", "%", None),
        (-0.4, "+.0f", "%", None),
        (0.0, "+.2f", "points", None),
        (10.0, "+.0f", "%", "+10 %"),
    ],
)
def test_a_difference_of_nothing_is_not_shown(value: float, digits: str, unit: str, shown: str | None) -> None:
    assert _delta(value, digits, unit) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(1234.6, "+1,235"), (-1234.6, "-1,235"), (1.0, "+1"), (1.6, "+2"), (0.994, "+0.99"), (-0.5, "-0.50"), (0.0, "0")],
)
def test_a_change_of_cost_has_its_sign(usd: float, shown: str) -> None:
    assert _signed(usd) == shown


def _money(before: float, after: float) -> None:
    from dashboard.views.what_if import _money_metric

    _money_metric("cost", before, after)


@pytest.mark.parametrize(
    ("before", "after", "shown", "change"),
    [(1000.0, 900.0, "900", "-100"), (1000.0, 1200.0, "1,200", "+200"), (1000.2, 1000.4, "1,000", "")],
)
def test_what_if_shows_what_it_costs_and_how_much_more(before: float, after: float, shown: str, change: str) -> None:
    (metric,) = AppTest.from_function(_money, kwargs={"before": before, "after": after}).run().metric
    assert (metric.value, metric.delta) == (shown, change)


def test_what_is_drawn_over_time_is_said() -> None:
    assert _replication_words({"of": 1, "replications": 1}) == ""
    assert _replication_words({"of": 3, "replications": 1}) == "Of the first replication."
    assert _replication_words({"of": 3, "replications": 2}).startswith("Lines: means of 2 replications; bands: ")
    assert _words(["a=1", "b=2"]) == "`a=1`, `b=2`"


@pytest.mark.parametrize(
    ("factor", "rate", "users"),
    [(2.0, "24", "6"), (0.1, "1.2", "1"), (1.5, "18", "4"), (0.5, "6", "2"), (1.0, None, None)],
)
def test_the_load_is_scaled_and_somebody_stays(
    loaded: LoadedScenario, factor: float, rate: str | None, users: str | None
) -> None:
    sets = [text for text in assignments(loaded, Change(demand=factor)) if ".arrivals." in text]
    expected = [
        f"workload.classes[chat].arrivals.rate_rps={rate}",
        f"workload.classes[users].arrivals.concurrency={users}",
    ]
    assert sets == ([] if rate is None else expected)


@pytest.mark.parametrize(
    ("there", "most", "spare"), [(1, 4, 1), (2, 4, 1), (3, 4, 2), (5, 4, 4), (64, 4, 4), (64, 1, 1), (8, 16, 7)]
)
def test_one_core_is_left_to_the_pages(there: int, most: int, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = import_module("dashboard.processes")
    monkeypatch.setattr(place, "cores", lambda: there)
    assert place.spare_cores(most) == spare


def test_a_file_that_is_no_text_is_refused_as_the_upload() -> None:
    text = import_module("dashboard.views.scenario")._text
    upload = SimpleNamespace(getvalue=lambda: "name: é".encode())
    assert text(None, upload, None) == "name: é"
    with pytest.raises(InputError) as refused:
        text(None, SimpleNamespace(getvalue=lambda: b"\xff\xfe\xff"), None)
    (problem,) = refused.value.problems
    assert (problem.message, problem.file) == ("is not UTF-8 text", "the upload")


def test_vectors_have_no_gaps_and_no_token_api_is_blamed() -> None:
    def one(tpot_s: float | None) -> dict[str, dict[str, dict[str, float | None]]]:
        return {"metrics": {"tpot_s": {"p50": tpot_s}}}

    assert why_no_gaps({"own": one(None), "cloud": one(None)}) == "No answer has a second token."
    assert "Token APIs" in why_no_gaps({"own": one(None), "api": one(0.02)})


def _told(paths: list[str]) -> None:
    import streamlit as st

    from dashboard.views.start import _tell
    from simulator.errors import Problem

    _tell(tuple(Problem(f"is wrong at {path}", path=path) for path in paths), {"isl": st.container()})


@pytest.mark.parametrize(
    ("paths", "at_a_question"),
    [(["isl"], True), (["isl", "run.seed"], True), (["run.seed"], False), ([], False)],
)
def test_that_some_answers_do_not_hold_is_told_where_any_says_why(paths: list[str], at_a_question: bool) -> None:
    app = AppTest.from_function(_told, args=(paths,)).run()
    assert not app.exception
    assert len(app.error) == len(paths)
    assert [warning.value for warning in app.warning] == ["Some answers above do not hold: each says why."][
        : int(at_a_question)
    ]
