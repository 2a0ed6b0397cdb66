"""Scenarios that answers make."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from simulator.catalog.tokens import token_offer
from simulator.cli.new import Given, new
from simulator.errors import InputError
from simulator.questions.answers import Answers, is_asked, questions
from simulator.questions.fit import fit_of
from simulator.questions.hours import mean_share
from simulator.questions.traffic import busy_rate_rps, usd_per_request
from simulator.questions.write import scenario_text
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario

BUSY = st.sampled_from(["always", "daytime", "working_hours"])


@given(
    model=st.sampled_from(["llama-3.1-8b", "qwen3-32b", "gpt-oss-20b"]),
    rate=st.floats(0.01, 500),
    isl=st.integers(1, 4000),
    osl=st.integers(1, 1000),
    shared=st.floats(0, 0.99),
    busy=BUSY,
    data_class=st.sampled_from(["public", "internal", "confidential", "restricted"]),
    owned=st.sampled_from([0, 8, 13]),
    offer=st.sampled_from([None, "openai/gpt-4o-mini", "together/llama-3.3-70b"]),
    growth=st.floats(-0.2, 0.1),
)
@example(
    model="llama-3.1-8b",
    rate=193.6,
    isl=1804,
    osl=26,
    shared=5.960464477539063e-08,
    busy="daytime",
    data_class="confidential",
    owned=13,
    offer="openai/gpt-4o-mini",
    growth=2.220446049250313e-16,
)
@settings(deadline=None, max_examples=15, phases=(Phase.explicit, Phase.generate))
def test_any_answers_make_a_scenario_that_holds(
    tmp_path_factory: pytest.TempPathFactory,
    model: str,
    rate: float,
    isl: int,
    osl: int,
    shared: float,
    busy: str,
    data_class: str,
    owned: int,
    offer: str | None,
    growth: float,
) -> None:
    answers: dict[str, Any] = {
        "model": model,
        "quantization": "none",
        "rate_rps": rate,
        "isl": isl,
        "osl": osl,
        "cached_share": shared,
        "busy": busy,
        "data_class": data_class,
        "owned_gpus": owned,
        "offer": offer,
        "growth_per_month": growth,
    }
    file = tmp_path_factory.mktemp("new") / "new.yaml"
    file.write_text(scenario_text(answers), "utf-8")
    loaded = load_scenario(file, (), ())
    assert {planned.name for planned in plan_topologies(at_start(loaded))} == set(loaded.scenario.topologies)
    scenario = loaded.scenario
    (cls,) = scenario.workload.classes
    assert cls.data_class == data_class
    assert ("cloud" in scenario.topologies) == (data_class != "restricted")
    assert scenario.study.growth_per_year == pytest.approx((1 + growth) ** 12 - 1, rel=1e-5, abs=1e-12)
    if owned:
        (pool,) = scenario.topologies["on_prem"].pools
        assert pool.replicas == owned // pool.tensor_parallel_size


@pytest.mark.parametrize(
    ("data_class", "out"),
    [("internal", []), ("confidential", ["openai/gpt-4o-mini"]), ("restricted", ["lambda", "openai/gpt-4o-mini"])],
)
def test_places_that_may_not_take_the_data_are_said(data_class: str, out: list[str]) -> None:
    given = {"rate_rps": 1.0, "data_class": data_class, "site": "lambda", "offer": "openai/gpt-4o-mini"}
    said = [line for line in scenario_text(given).splitlines() if line.startswith("# left out")]
    assert said == [
        f"# left out: {name}, which may not take {data_class} data (servecast catalog sites)" for name in out
    ]


def test_spending_becomes_the_traffic_that_costs_it() -> None:
    """Of 1,600 shared tokens OpenAI's cache finds twelve steps of 128, 1,536."""
    answers = Answers(spend_usd_per_month=180_000, offer="openai/gpt-4o-mini", cached_share=0.8, isl=2000, osl=300)
    price = token_offer("openai/gpt-4o-mini").price(2000)
    assert price.cached_input is not None
    by_hand = (464 * price.input + 1536 * price.cached_input + 300 * price.output) / 1e6
    assert usd_per_request(answers) == pytest.approx(by_hand)
    busy, quiet = 50, 118
    requests = busy_rate_rps(answers) * 3600 * 730 * (busy + 0.1 * quiet) / 168
    assert requests * by_hand == pytest.approx(180_000)


def test_what_is_too_short_for_the_cache_is_paid_in_full_and_said() -> None:
    """800 shared tokens of 2,000 are fewer than the 1,024 from which OpenAI caches; Together caches nothing."""
    given = {"offer": "openai/gpt-4o-mini", "cached_share": 0.4, "isl": 2000, "osl": 300}
    price = token_offer("openai/gpt-4o-mini").price(2000)
    assert usd_per_request(Answers(**given)) == pytest.approx((2000 * price.input + 300 * price.output) / 1e6)
    lines = scenario_text({"rate_rps": 1.0, **given}).splitlines()
    at = lines.index("      prefixes: {groups: 1, tokens: 800}")
    said = "      # openai/gpt-4o-mini caches beginnings of 1,024 tokens and more: these 800 are paid in full there."
    assert lines[at - 1] == said
    for other in ({"cached_share": 0.8}, {"offer": "together/llama-3.3-70b"}, {"offer": None}):
        assert "caches beginnings" not in scenario_text({"rate_rps": 1.0, **given, **other})


def test_users_ask_in_busy_hours() -> None:
    assert busy_rate_rps(Answers(users=300, requests_per_user_per_hour=12)) == pytest.approx(1.0)
    assert mean_share(Answers(busy="always")) == 1.0
    assert mean_share(Answers(busy="daytime")) == pytest.approx((14 + 10 * 0.25) / 24)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate_rps": None}, "none is given"),
        ({"users": 3}, "given are users and rate_rps"),
        ({"rate_rps": 0.0}, "rate_rps: must be above 0"),
        ({"rate_rps": None, "spend_usd_per_month": 5.0}, "only with the API"),
        ({"cached_share": 1.0}, "cached_share"),
        ({"isl": 0}, "isl"),
        ({"isl": 200_000}, "takes 131072"),
        ({"model": "llama-3.1-405b", "gpu": "l4"}, "does not fit 8 l4"),
        ({"model": "qwen2.5-72b", "owned_gpus": 1, "quantization": "none"}, "a replica of qwen2.5-72b takes"),
        (
            {"quantization": "nvfp4"},
            "h100-sxm does not compute llama-3.1-8b in nvfp4: say one of none, fp8",
        ),
        ({"gpu": "a100-80"}, "a100-80 does not compute llama-3.1-8b in fp8: say one of none, int8"),
        ({"other_gpus": "a100-80"}, "a100-80 does not compute llama-3.1-8b in fp8: say one of none, int8"),
        ({"column": "arrival_s=at"}, "column: say of which file (trace)"),
        ({"name": "!"}, "name: must have letters or figures"),
        ({"site": "nowhere"}, "nowhere"),
        ({"offer": "nobody/x"}, "nobody/x"),
        ({"growth_per_month": -1.0}, "growth_per_month"),
        ({"rate_rps": None, "users": 10**400}, "users: must be at most 1e+15 in size"),
        ({"rate_rps": 2e15}, "rate_rps: must be at most 1e+15 in size"),
        ({"isl": 10**16}, "isl: must be at most 1e+15 in size"),
        ({"months": float("nan")}, "months: must be at most 1e+15 in size"),
    ],
)
def test_answers_that_do_not_hold_together_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        scenario_text({"rate_rps": 1.0, **change})
    assert said in str(refused.value)


def test_the_file_says_which_defaults_it_took(tmp_path: Path) -> None:
    text = scenario_text({"rate_rps": 1.0, "isl": 700})
    assert "default osl: 250 (some paragraphs)" in text
    assert "default isl" not in text
    assert "requests_per_user_per_hour" not in text


def test_an_answer_that_is_the_default_is_an_answer() -> None:
    text = scenario_text({"rate_rps": 1.0, "osl": 250, "gpu": "h100-sxm"})
    assert "default osl" not in text
    assert "default gpu" not in text
    assert "default isl: 1500" in text


def test_when_a_hybrid_sends_requests_on_is_found_with_its_sizes(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"model": "qwen3-32b", "rate_rps": 5.0}), "utf-8")
    routing = load_scenario(file).scenario.topologies["hybrid"].routing
    assert routing.model_dump(include={"order", "when"}, exclude_none=True) == {
        "order": ("base", "rented"),
        "when": {"outstanding_per_replica": "auto"},
    }


def test_a_question_takes_numbers_and_choices_and_refuses_others() -> None:
    asked = {question.name: question for question in questions()}
    assert asked["users"].parse("300") == 300
    assert asked["growth_per_month"].parse("0.08") == 0.08
    assert asked["busy"].parse("always") == "always"
    for name, text in (("users", "many"), ("isl", "1.5"), ("busy", "at night")):
        with pytest.raises(InputError, match=name):
            asked[name].parse(text)


def test_one_amount_is_asked_for_and_a_rate_each_of_people_alone() -> None:
    names = [question.name for question in questions()]
    rest = set(names) - {"users", "rate_rps", "spend_usd_per_month", "trace", "requests_per_user_per_hour", "column"}
    follow = {
        "currency": {"usd_per_unit", "rate_date", "rate_source"},
        "own_gpu": {"memory_gib", "bandwidth_gb_per_s", "bf16_tflops", "fp8_tflops", "board_power_w"},
        "server_usd": {"gpus_per_server"},
        "api_input_usd": {"api_cached_usd", "api_output_usd", "api_ttft_s", "api_tpot_s"},
        "other_share": {"other_data_class"},
        "turns": {"think_s"},
        "batch_per_day": {"batch_isl", "batch_osl", "batch_hours"},
    }
    rest -= set().union(*follow.values())

    def asked(**given: Any) -> set[str]:
        return {name for name in names if is_asked(name, given)}

    assert asked(users=3) == {*rest, "users", "requests_per_user_per_hour"}
    assert asked(rate_rps=1.0) == {*rest, "rate_rps"}
    assert asked(rate_rps=1.0, hours="mon-fri 8-18 1") == {*rest, "rate_rps"} - {"busy"}
    assert asked(rate_rps=1.0, busy="always") == {*rest, "rate_rps"} - {"hours"}
    assert asked() == {*rest, "users", "rate_rps", "spend_usd_per_month", "trace"}
    for lead, more in follow.items():
        assert asked(rate_rps=1.0, **{lead: 7}) == {*rest, "rate_rps", *more}, lead
    known = asked(rate_rps=1.0, api_input_usd=1.0, offer="openai/gpt-4o-mini")
    assert known == {*rest, "rate_rps", "api_cached_usd", "api_output_usd"}, "an offer has a speed"


def test_questions_are_asked_on_a_terminal_until_they_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["qwen3-32b", "", "many", "300", "12"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed, ""))
    assert new(tmp_path / "our service.yaml") == 0
    assert "users: must be a whole number (got many)" in capsys.readouterr().out
    scenario = load_scenario(tmp_path / "our service.yaml", (), ()).scenario
    assert (scenario.name, scenario.model) == ("our-service", "qwen3-32b")
    assert "rate_rps: 1}" in (tmp_path / "our service.yaml").read_text()
    with pytest.raises(InputError, match="is there already"):
        new(tmp_path / "our service.yaml")


def test_gpus_that_are_there_may_be_paid_for(tmp_path: Path) -> None:
    """The file says the key by which nothing is bought anew, and it holds."""
    text = scenario_text({"rate_rps": 1.0, "owned_gpus": 8}, tmp_path)
    (said,) = (line.partition("the scenario: ")[2] for line in text.splitlines() if "capex_usd: 0" in line)
    file = tmp_path / "mine.yaml"
    file.write_text(f"{text}{said}\n", "utf-8")
    planned = plan_topologies(at_start(load_scenario(file)))
    sites = [site for topology in planned for site in resolve_terms(topology).terms.owned]
    assert {float(site.server.capex_usd) for site in sites} == {0.0}
    assert {site.spares for site in sites} == {0}


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"growth_per_month": 6.0}, "study.growth_per_year"),
        ({"tpot_s": 50.0}, "workload.classes[0].slo.tpot_s.p95"),
    ],
)
def test_answers_that_make_no_scenario_leave_no_file(tmp_path: Path, answer: dict[str, Any], place: str) -> None:
    file = tmp_path / "mine.yaml"
    with pytest.raises(InputError) as refused:
        new(file, given=Given(rate_rps=1.0, **answer), ask=False)
    first, second, *_ = str(refused.value).splitlines()
    assert first == "the answers make no scenario that holds"
    assert place in second
    assert not file.exists()


@pytest.mark.parametrize(
    ("kv_tokens", "degree"),
    [
        ({1: 16_000, 2: 40_000, 4: 90_000, 8: 200_000}, 1),
        ({1: 15_999, 2: 40_000, 4: 90_000, 8: 200_000}, 2),
        ({1: None, 2: None, 4: 16_000, 8: 200_000}, 4),
        ({1: None, 2: 5_000, 4: 9_000, 8: 15_000}, 8),
        ({1: 5_000, 2: 9_000, 4: None, 8: None}, 2),
        ({1: None, 2: None, 4: None, 8: None}, None),
    ],
)
def test_a_replica_has_the_fewest_gpus_that_hold_sixteen_requests(
    kv_tokens: dict[int, int | None], degree: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of 1,000 tokens: 16 of them are 16,000. Where no degree holds so many, the largest that fits at all."""
    asked: list[Any] = []

    def answered(question: Any) -> Any:
        asked.append(question)
        tokens = kv_tokens[question.tp]
        plan = SimpleNamespace(fits=tokens is not None, kv_tokens=tokens or 0, refusals=["no memory"], max_model_len=1)
        return SimpleNamespace(plan=plan, question=question, shape=SimpleNamespace(context=6_000))

    fit = import_module("simulator.questions.fit")
    monkeypatch.setattr(fit, "answer", answered)
    monkeypatch.setattr(fit, "engine_of", lambda *_: SimpleNamespace(config=None, step_time=None))
    monkeypatch.setattr(fit, "alone_s", lambda *_: (0.0, 0.0))
    answers = Answers(rate_rps=1.0, isl=900, osl=100)
    if degree is None:
        with pytest.raises(InputError, match=r"does not fit 8 .*: no memory"):
            fit_of(answers, Path(), "l4")
    else:
        assert fit_of(answers, Path(), "l4").tp == degree
    assert {one.max_model_len for one in asked} == {None, 4096}, "four times the mean request is not longer"
    asked.clear()
    if degree is not None:
        fit_of(replace(answers, isl=1_000, osl=30), Path(), "l4")
        assert {one.max_model_len for one in asked} == {None, 6_000}, "the model's context, of 8,192 that are wanted"
    with pytest.raises(InputError, match=r"have 6001 tokens, .* takes 6000"):
        fit_of(replace(answers, isl=5_901), Path(), "l4")


@pytest.mark.parametrize(
    ("model", "gpu"), [("gpt-oss-120b", "h200"), ("deepseek-v3", "h200"), ("llama-3.1-8b", "l40s")]
)
def test_without_a_format_the_weights_are_as_published(tmp_path: Path, model: str, gpu: str) -> None:
    """117 billion parameters in mxfp4 fit one H200, 671 billion in fp8 eight of them; in 16 bit neither does."""
    given = {"rate_rps": 1.0, "model": model, "quantization": "none", "gpu": gpu, "site": "nebius"}
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text(given), "utf-8")
    assert plan_topologies(at_start(load_scenario(file)))


@pytest.mark.parametrize(("model", "told"), [("gpt-oss-20b", ""), ("deepseek-v3", ""), ("qwen3-8b", "fp8")])
def test_a_checkpoint_that_is_quantised_keeps_its_format_unless_told(model: str, told: str) -> None:
    given = {"rate_rps": 1.0, "model": model, "gpu": "h200", "site": "nebius"}
    text = scenario_text(given)
    (line,) = (line for line in text.splitlines() if line.startswith("engine: "))
    assert ("quantization" in line) == bool(told)
    assert told in line
    assert "# default quantization: auto (as published where that is quantised, else fp8" in text
    assert "quantization: fp8" in scenario_text(given | {"quantization": "fp8"})


def test_who_rents_out_a_gpu_is_told_where_a_site_does_not() -> None:
    given = {"rate_rps": 1.0, "gpu": "h200", "site": "lambda"}
    with pytest.raises(InputError, match=r"lambda has no price of h200.*a site that has one \(.*nebius"):
        scenario_text(given)
