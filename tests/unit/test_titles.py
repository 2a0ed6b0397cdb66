"""What people read has the catalog's titles and words for keys; ids and paths are for files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.catalog.sites import sites
from simulator.catalog.titles import in_titles, own_names, owner_words
from simulator.questions.write import scenario_text
from simulator.report.key_words import _ENTRIES, _TITLED, _UNITS, _WHOLE, key_words, names_of, value_words
from simulator.report.memo import memo
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCHEMA = Path(__file__).resolve().parents[2] / "scenarios/schema/scenario.schema.json"
H100 = gpus()["h100-sxm"].title


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("price of h100-sxm at lambda, on demand", f"price of {H100} at Lambda, on demand"),
        ("llama-3.1-8b on 4 x h100-sxm.", f"{models()['llama-3.1-8b'].title} on 4 x {H100}."),
        ("network one way at datacentre; image at colo", "network one way at own data centre; image at colocation"),
        ("input of together/llama-3.3-70b is sold", "input of Llama 3.3 70B (Together AI) is sold"),
        ("power reserved of 8xh200", "power reserved of 8 x H200 SXM (HGX)"),
        ("lambda: on_prem_h200, not `pools[a].gpu=h200` or x/h200", None),
    ],
)
def test_ids_in_sentences_are_read_as_titles(text: str, read: str | None) -> None:
    assert in_titles(text) == (text if read is None else read)


def test_names_of_ones_own_stay() -> None:
    of_topologies = {"h200": {"pools": [{"name": "l40s"}]}, "api": {"providers": [{"name": "deepseek-v3"}]}}
    summary = {"scenario": "h20", "order": ["h200"], "topologies": of_topologies}
    with own_names(names_of(summary)):
        assert in_titles("scenario h20, SHA-256") == "scenario h20, SHA-256"
        assert in_titles("deepseek-v3 takes 60 requests") == "deepseek-v3 takes 60 requests"
        assert in_titles("h200: l40s 3 on b200") == f"h200: l40s 3 on {gpus()['b200'].title}"
    assert in_titles("h200").startswith("NVIDIA")


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("pools[base].gpu", "pool base: GPU"),
        ("pools[base].max_waiting_per_replica", "pool base: waiting per replica, at most"),
        ("workload.classes[0].arrivals.file", "class chat: arrivals: its file"),
        ("workload.classes[1].isl", "class 2: prompt tokens"),
        ("workload.classes[chat].slo.ttft_s.p95", "class chat: SLO: TTFT [s]: p95"),
        ("topologies.cloud.pools[rented].autoscaler.period_s", "topology cloud: pool rented: autoscaler: period [s]"),
        ("run.horizon_s", "run: horizon [s]"),
        ("pools[base].engine.given.input_tokens_per_s", "pool base: engine: given: input [tokens/s]"),
        ("hardware[mine].bus_gb_per_s", "hardware mine: bus [GB/s]"),
        ("pools[base].price_usd_per_gpu_hour", "pool base: price per GPU-hour [USD]"),
    ],
)
def test_keys_are_read_as_words(path: str, read: str) -> None:
    assert key_words(path, {"workload": {"classes": [{"name": "chat"}]}}) == read


def test_names_that_are_numbers_are_no_positions() -> None:
    """Differences name entries, files are told by positions; what has no name is counted from 1."""
    years = {"workload": {"classes": [{"name": "chat"}, {"name": "2026"}, {"name": "1"}]}}
    assert key_words("workload.classes[2026].isl") == key_words("workload.classes[2026].isl", years)
    assert key_words("workload.classes[2026].isl") == "class 2026: prompt tokens"
    assert key_words("workload.classes[1].isl", years) == "class 1: prompt tokens"
    assert key_words("workload.classes[0].isl", years) == "class chat: prompt tokens"
    assert key_words("topologies.2026.pools[7].gpu") == "topology 2026: pool 7: GPU"
    assert key_words("study.load_steps[0].load") == "study: load steps 1: load"


def test_values_are_read_by_their_keys() -> None:
    assert value_words("pools[a].site", "lambda") == sites()["lambda"].title
    assert value_words("pools[a].gpu", "h100-sxm") == H100.removeprefix("NVIDIA ")
    assert value_words("pools[a].routing", "session_sticky") == "session sticky"
    assert value_words("topologies.lambda.name", "lambda") == "lambda"
    assert value_words("engine.enable_prefix_caching", True) == "yes"


def test_a_memo_has_titles_alone(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("arrival_s,input_tokens,output_tokens\n0,9,9\n30,9,9\n60,9,9\n", "utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"trace": "log.csv", "name": "Ours, at last"}, tmp_path), "utf-8")
    bundle = simulate(load_scenario(file, sets=["cost.draws=100"]), tmp_path / "runs").bundle
    text = memo(read_bundle(bundle))
    assert "Ours, at last: Llama 3.1 8B, " in text
    assert "class requests: arrivals: its file (log.csv): SHA-256 " in text
    assert f"price of {H100} at Lambda" in text
    assert in_titles(text) == text
    for raw in ("h100-sxm", "llama-3.1-8b", " at lambda", "workload.classes"):
        assert raw not in text, raw


@pytest.mark.parametrize(
    ("owner", "read"),
    [
        ("datacentre/h100-sxm", "Own data centre, H100 SXM 80 GB"),
        ("lambda/h100-sxm/on_demand", "Lambda, H100 SXM 80 GB, on demand"),
        ("openai/gpt-4o-mini", "GPT-4o mini (OpenAI)"),
        ("on_prem", "on_prem"),
    ],
)
def test_owners_of_lines_are_read_as_titles(owner: str, read: str) -> None:
    assert owner_words(owner) == read


def test_keys_that_have_words_of_their_own_are_keys_of_a_scenario() -> None:
    known = set(re.findall(r'"(\w+)":', SCHEMA.read_text("utf-8")))
    ends = [end for end in _UNITS if not any(key.endswith(end) for key in known)]
    assert [key for key in (*_TITLED, *_ENTRIES, *_WHOLE) if key not in known] + ends == []
