"""Models, GPUs, prices, sessions and kinds of data of one's own, as answers make them a scenario."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.catalog.models import models
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError, Problem
from simulator.questions.answers import Answers, questions
from simulator.questions.places import question_of
from simulator.questions.traffic import usd_per_request
from simulator.questions.write import scenario_text
from simulator.resolve.demand import request_source
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario


def planned(tmp_path: Path, **given: Any) -> tuple[Any, dict[str, Any]]:
    """The scenario that answers make, and its topologies as they would run."""
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"rate_rps": 1.0, **given}, tmp_path), "utf-8")
    loaded = load_scenario(file)
    return loaded.scenario, {each.name: each for each in plan_topologies(at_start(loaded))}


def test_models_gpus_and_prices_can_be_ones_own(tmp_path: Path) -> None:
    config = models()["qwen3-8b"].config
    (tmp_path / "ours.json").write_text(json.dumps(config), "utf-8")
    own = {"own_gpu": "our card", "gpu": "rtx-5090", "memory_gib": 25.2, "bandwidth_gb_per_s": 1344.0}
    peaks = {"bf16_tflops": 165.0, "fp8_tflops": 330.0, "board_power_w": 400.0}
    prices = {"rent_usd_per_gpu_hour": 0.7, "server_usd": 9500.0, "gpus_per_server": 2}
    api = {"api_input_usd": 0.2, "api_output_usd": 0.9, "api_ttft_s": 0.5, "api_tpot_s": 0.015}
    scenario, found = planned(tmp_path, model="ours.json", isl=500, **own, **peaks, **prices, **api)
    pool = found["on_prem"].fleet.pools[0]
    assert pool.engine.num_blocks > 0
    hardware = scenario.topologies["on_prem"].pools[0].hardware
    assert hardware.name == "our card"
    assert (hardware.memory_gib, hardware.bandwidth_gb_per_s, hardware.board_power_w) == (25.2, 1344, 400)
    assert hardware.peaks_tflops == {"bf16": 165, "fp8": 330}
    assert scenario.topologies["cloud"].pools[0].price_usd_per_gpu_hour == 0.7
    (servers,) = scenario.servers
    assert (servers.capex_usd, servers.gpus_per_server) == (9500, 2)
    (provider,) = scenario.topologies["api"].providers
    assert [(band.input, band.output) for band in provider.prices] == [(0.2, 0.9)]
    assert (provider.ttft_s.median, provider.tpot_s.median) == (0.5, 0.015)
    billed = resolve_terms(found["on_prem"]).terms.owned[0]
    assert float(billed.server.capex_usd) == 9500
    spent = usd_per_request(Answers(spend_usd_per_month=1.0, isl=500, osl=250, **api))
    assert spent == pytest.approx((500 * 0.2 + 250 * 0.9) / 1e6)


@pytest.mark.parametrize(
    ("change", "question"),
    [
        ({"memory_gib": 20.0}, "memory_gib"),
        ({"own_gpu": "x", "bandwidth_gb_per_s": -1.0}, "bandwidth_gb_per_s"),
        ({"own_gpu": "x", "fp8_tflops": 300.0}, "bf16_tflops"),
        ({"gpus_per_server": 4}, "gpus_per_server"),
        ({"api_input_usd": 1.0}, "api_output_usd"),
        ({"api_input_usd": 1.0, "api_output_usd": 1.0}, "api_ttft_s"),
        ({"api_input_usd": 1.0, "api_output_usd": 1.0, "api_cached_usd": 0.1}, "api_cached_usd"),
        ({"other_share": 0.2, "other_data_class": "internal"}, "other_data_class"),
        ({"other_gpus": "l40s, nope"}, "other_gpus"),
        ({"turns": 100, "isl": 1500}, "isl"),
        ({"turns": 400}, "turns"),
        ({"model": "gone.json"}, "model"),
        ({"model": "qwen3-33b"}, "model"),
        ({"gpu": "h101"}, "gpu"),
        ({"gpu": "a100-80"}, "quantization"),
        ({"hours": "mon-fri 9-9 1"}, "hours"),
        ({"offer": "openai/gpt-9"}, "offer"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told_at_its_question(change: dict[str, Any], question: str) -> None:
    with pytest.raises(InputError) as refused:
        scenario_text({"rate_rps": 1.0, **change})
    assert question in [question_of(problem) for problem in refused.value.problems]


def test_every_place_of_a_scenario_that_answers_make_belongs_to_a_question(tmp_path: Path) -> None:
    """All that a whole set of answers writes, but what no question says."""
    scenario, _ = planned(
        tmp_path,
        own_gpu="x",
        memory_gib=70.0,
        bf16_tflops=900.0,
        fp8_tflops=1900.0,
        server_usd=1e5,
        gpus_per_server=4,
        rent_usd_per_gpu_hour=1.0,
        offer="openai/gpt-4o-mini",
        other_share=0.2,
        api_input_usd=1.0,
        api_output_usd=2.0,
        api_cached_usd=0.5,
        other_gpus="l40s",
        turns=3,
        cached_share=0.3,
        currency="EUR",
        usd_per_unit=1.1,
        rate_date="2026-11-26",
        rate_source="x",
    )
    names = {question.name for question in questions()} | {"amount"}
    plain = re.compile(r"schema_version|name|description|run.*|study\.periods.*|.*(routing|servers|price_source).*")

    def leaves(node: Any, path: str) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from leaves(value, f"{path}.{key}" if path else str(key))
        elif isinstance(node, list):
            for k, value in enumerate(node):
                yield from leaves(value, f"{path}[{k}]")
        else:
            yield path

    places = list(leaves(scenario.model_dump(mode="json", exclude_unset=True), ""))
    assert len(places) > 60
    left = [place for place in places if question_of(Problem("x", path=place)) not in names]
    assert [place for place in left if not plain.fullmatch(place)] == [
        place for place in left if place.endswith((".name", ".kind")) and not plain.fullmatch(place)
    ]
    assert question_of(Problem("x", path="servers[0].capex_usd")) == "server_usd"
    assert question_of(Problem("x", file="log.csv.gz", line=5)) == "trace"
    assert question_of(Problem("x", file="mine.yaml", line=5)) is None
    assert question_of(Problem("x", path="topologies.on_prem_l40s.pools[0].gpu")) == "other_gpus"


def test_data_of_two_kinds_go_where_each_may(tmp_path: Path) -> None:
    """A fifth may not leave: no topology sends it anywhere but to one's own servers, and the rest may go to the API."""
    given = {"other_share": 0.2, "offer": "openai/gpt-4o-mini", "rate_rps": 5.0}
    scenario, found = planned(tmp_path, **given)
    assert [(one.name, one.data_class, one.arrivals.rate_rps) for one in scenario.workload.classes] == [
        ("requests", "internal", 4.0),
        ("restricted", "restricted", 1.0),
    ]
    assert list(found) == ["on_prem", "hybrid", "hybrid_cloud", "split", "split_cloud"]
    beside = {"hybrid": ["base", "api"], "hybrid_cloud": ["base", "rented"]}
    beside |= {"split": ["api", "base"], "split_cloud": ["rented", "base"]}
    for name, order in beside.items():
        fleet, targets = found[name].fleet, [*(one.name for one in found[name].fleet.pools), "api"]
        assert list(scenario.topologies[name].routing.order) == order
        assert [[targets[k] for k, may in enumerate(one.allowed) if may] for one in fleet.classes] == [
            ["base", *(one for one in order if one != "base")],
            ["base"],
        ]
    assert "left out but for what may go there: openai/gpt-4o-mini" in (tmp_path / "mine.yaml").read_text()
    assert set(planned(tmp_path, **given, other_data_class="public")[1]) == {
        *("on_prem", "cloud", "api", "hybrid", "hybrid_cloud")
    }


def test_what_is_paid_today_goes_into_the_study(tmp_path: Path) -> None:
    """Also where a part of the data may not go to the API, so that no topology costs what is paid today."""
    given = {"spend_usd_per_month": 1e5, "offer": "openai/gpt-4o-mini", "other_share": 0.1}
    (tmp_path / "mine.yaml").write_text(scenario_text(given, tmp_path))
    assert load_scenario(tmp_path / "mine.yaml").scenario.study.paid_today_usd_per_month == 1e5
    assert "paid_today" not in scenario_text({"rate_rps": 1.0}, tmp_path)


def test_what_a_month_may_cost_goes_into_the_study(tmp_path: Path) -> None:
    assert planned(tmp_path, budget_usd_per_month=8000.0)[0].study.budget_usd_per_month == 8000
    assert planned(tmp_path)[0].study.budget_usd_per_month is None
    with pytest.raises(InputError, match="budget_usd_per_month"):
        scenario_text({"rate_rps": 1.0, "budget_usd_per_month": 0.0}, tmp_path)


@pytest.mark.parametrize(("given", "limit"), [({"spend_usd_per_month": 1e5}, 0), ({"rate_rps": 1.0}, None)])
def test_what_is_paid_for_today_meets_no_limit(tmp_path: Path, given: dict[str, Any], limit: float | None) -> None:
    text = scenario_text({"offer": "openai/gpt-4.1", **given}, tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    (provider,) = load_scenario(tmp_path / "mine.yaml").scenario.topologies["api"].providers
    assert (provider.tokens_per_minute, provider.requests_per_minute) == (limit, limit)


def test_other_gpus_are_compared_at_sizes_of_their_own(tmp_path: Path) -> None:
    scenario, found = planned(tmp_path, model="qwen2.5-72b", other_gpus="l40s, b200", owned_gpus=8)
    assert set(found) == {"on_prem", "cloud", "hybrid", "on_prem_l40s", "on_prem_b200", "cloud_b200"}
    gpus = {name: (each.pools[0].gpu, each.pools[0].tensor_parallel_size) for name, each in scenario.topologies.items()}
    assert gpus["on_prem_l40s"] == ("l40s", 4)
    assert gpus["cloud_b200"] == gpus["on_prem_b200"] == ("b200", 1)
    assert scenario.topologies["on_prem"].pools[0].replicas == 8 // gpus["on_prem"][1]
    assert scenario.topologies["on_prem_b200"].pools[0].replicas == "auto"


def test_another_gpu_that_the_site_rents_in_too_small_instances_is_left_out_with_a_word(tmp_path: Path) -> None:
    """A replica takes two L40S, of which an instance there has one; A100 are not rented there at all."""
    _, found = planned(tmp_path, model="gpt-oss-120b", site="nebius", other_gpus="l40s, a100-80, b200")
    assert set(found) == {
        *("on_prem", "cloud", "hybrid", "on_prem_l40s", "on_prem_a100-80", "on_prem_b200", "cloud_b200")
    }
    told = [line for line in (tmp_path / "mine.yaml").read_text().splitlines() if line.startswith("# left out")]
    assert [line.split(":")[1].split(" at ")[0] for line in told] == [
        " rented l40s, as no instance",
        " rented a100-80, as no on_demand offer of a100-80",
    ]


def test_requests_of_sessions_have_the_mean_prompt_that_was_said(tmp_path: Path) -> None:
    """Of ten requests the k-th has 1,200 + k u + (k - 1) 200 tokens; their mean is 6,000."""
    scenario, _ = planned(tmp_path, turns=10, think_s=12.0, isl=6000, osl=200, cached_share=0.2)
    (cls,) = scenario.workload.classes
    new = cls.lengths.isl.mean
    assert cls.arrivals.system_tokens == 1200
    assert (cls.arrivals.turns, cls.arrivals.think_s, cls.arrivals.rate_rps) == (10, 12, 1)
    mean = sum(1200 + k * new + (k - 1) * 200 for k in range(1, 11)) / 10
    assert mean == pytest.approx(6000, abs=10)
    assert scenario.topologies["on_prem"].pools[0].routing == "session_sticky"


@pytest.mark.parametrize(("turns", "share", "said"), [(20, 0.0, 5900), (20, 0.5, 11800), (2, 0.0, 1500)])
def test_where_nobody_says_how_long_prompts_of_sessions_are_they_grow_by_what_each_request_brings(
    tmp_path: Path, turns: int, share: float, said: int
) -> None:
    """200 tokens each: the k-th of 20 has 200 k + 400 (k - 1), 5,900 in the mean; of two no more than the default."""
    scenario, _ = planned(tmp_path, turns=turns, osl=400, cached_share=share)
    (cls,) = scenario.workload.classes
    system = cls.arrivals.system_tokens
    mean = sum(system + k * cls.lengths.isl.mean + (k - 1) * 400 for k in range(1, turns + 1)) / turns
    assert mean == pytest.approx(said, abs=10)
    line = "# default isl: "
    (told,) = (one for one in (tmp_path / "mine.yaml").read_text().splitlines() if one.startswith(line))
    assert told.startswith(f"{line}{said} ")


@pytest.mark.parametrize("isl", [6000, 20_000])
def test_sessions_have_that_mean_and_hardly_one_is_too_long(tmp_path: Path, isl: int) -> None:
    """Drawn as a run draws them: lengths vary where the context has room for it, and are alike where it has none."""
    given = {"model": "qwen3-32b", "turns": 20, "isl": isl, "osl": 150, "think_s": 0.1, "rate_rps": 50.0}
    planned(tmp_path, **given)
    loaded = load_scenario(tmp_path / "mine.yaml")
    prompts = np.concatenate([chunk.isl for chunk in request_source(loaded).chunks()])
    assert prompts.mean() == pytest.approx(isl, rel=0.03)
    longest = loaded.scenario.engine.max_model_len
    assert longest is not None
    assert (prompts + 150 > longest).mean() < 0.01
    varied = len({int(length) for length in prompts}) > 25
    assert varied == (isl == 6000)


def test_sessions_that_no_context_holds_are_refused_at_their_number() -> None:
    with pytest.raises(InputError, match=r"turns: the last request of a session has [\d,]+ tokens .* takes 40,960"):
        scenario_text({"rate_rps": 1.0, "model": "qwen3-32b", "turns": 20, "isl": 25_000, "osl": 400})


def test_what_a_session_said_before_is_in_the_cache_of_a_token_api() -> None:
    """Three requests of 1,200, 2,800 and 4,400 tokens: in steps of 128 nothing, 1,152 and 2,688 are found again."""
    answers = Answers(spend_usd_per_month=1.0, offer="openai/gpt-4o-mini", turns=3, isl=2800, osl=400, think_s=10.0)
    price = token_offer("openai/gpt-4o-mini").price(2800)
    assert price.cached_input is not None
    cached = (0 + 1152 + 2688) / 3
    by_hand = ((2800 - cached) * price.input + cached * price.cached_input + 400 * price.output) / 1e6
    assert usd_per_request(answers) == pytest.approx(by_hand)
    late = replace(answers, think_s=1e5)
    assert usd_per_request(late) == pytest.approx((2800 * price.input + 400 * price.output) / 1e6)


def test_prices_that_the_catalog_lacks_are_asked_at_their_questions(tmp_path: Path) -> None:
    """A scenario of answers was refused by its own keys, which the answers do not have."""
    card = {"own_gpu": "our card", "gpu": "rtx-5090", "memory_gib": 25.2, "rate_rps": 1.0}
    prices = {"server_usd": 60000, "rent_usd_per_gpu_hour": 0.7}
    for said in ({}, {"server_usd": 60000}, {"rent_usd_per_gpu_hour": 0.7}):
        with pytest.raises(InputError) as caught:
            scenario_text(card | said, tmp_path, "own")
        assert {problem.path for problem in caught.value.problems} == set(prices) - set(said)
    planned(tmp_path, **card, **prices)
    with pytest.raises(InputError, match="has no price of a server with rtx-5090"):
        scenario_text(card | {"data_class": "restricted"}, tmp_path, "own")
    planned(tmp_path, **card, data_class="restricted", server_usd=60000)


def test_requests_that_may_wait_come_beside_the_others_in_all_hours_alike(tmp_path: Path) -> None:
    """43,200 a day are one in two seconds, by night, too; within 12 hours; at the batch prices of the token API."""
    batch = {"batch_per_day": 43_200.0, "batch_isl": 6000, "batch_osl": 100, "batch_hours": 12.0}
    batch["data_class"] = "public"
    scenario, found = planned(tmp_path, users=None, rate_rps=2.0, offer="openai/gpt-4o-mini", **batch)
    chat, waiting = scenario.workload.classes
    assert (chat.name, chat.arrivals.rate_rps, chat.service_tier) == ("requests", 2.0, "standard")
    assert (waiting.name, waiting.arrivals.rate_rps, waiting.service_tier) == ("batch", 0.5, "batch")
    assert (waiting.lengths.isl.mean, waiting.lengths.osl.mean) == (6000, 100)
    assert (chat.data_class, waiting.data_class) == ("public", "public")
    assert (waiting.slo.e2e_s, waiting.slo.ttft_s) == ({"p95": 12 * 3600}, {})
    assert [(one.load, one.load_by_class) for one in scenario.study.periods] == [
        (load, {"batch": 1}) for load in (1, 0.1, 0.1)
    ]
    assert scenario.engine.max_model_len >= 4 * 6100, "four times the mean of the longer of both"
    (terms,) = resolve_terms(found["api"]).terms.apis
    assert terms.tier_by_class == ("", "batch")
    assert "batch" not in scenario_text({"rate_rps": 1.0}, tmp_path).partition("schema_version")[2]


@pytest.mark.parametrize(
    ("other", "names"),
    [("chat", ["batch", "batch_too", "chat"]), ("batch_too", ["batch", "batch_too", "batch_too_too"])],
)
def test_a_log_with_a_label_of_that_name_keeps_it(other: str, names: list[str], tmp_path: Path) -> None:
    rows = "".join(f"{k},100,20,{'batch' if k % 2 else other}\n" for k in range(100))
    (tmp_path / "log.csv").write_text(f"arrival_s,input_tokens,output_tokens,class\n{rows}", "utf-8")
    scenario, _ = planned(tmp_path, rate_rps=None, trace="log.csv", batch_per_day=100.0)
    assert sorted(one.name for one in scenario.workload.classes) == names


@pytest.mark.parametrize("given", [{"batch_per_day": 0.0}, {"batch_per_day": 9.0, "batch_isl": 200_000}])
def test_what_may_wait_is_told_at_its_question(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_") as found:
        scenario_text({"rate_rps": 1.0, **given}, tmp_path)
    assert {problem.path for problem in found.value.problems} <= set(given)
