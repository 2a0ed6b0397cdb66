"""Unknown keys and values: what they are called here, where they belong, and no far-fetched guesses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.scenario.unknown import CALLED, MOST_KEYS, NEAR, SAID_OTHERWISE, VALUES, unknown_key
from simulator.schema.pool import Pool
from simulator.schema.scenario import Scenario

SCENARIO = Path("tests/data/scenarios/sized.yaml")
BASE = "topologies.own.pools[base]"


def message(*sets: str) -> str:
    with pytest.raises(InputError) as caught:
        plan_topologies(load_scenario(SCENARIO, sets=sets))
    return "\n".join(str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (f"{BASE}.tp=2", "unknown key 'tp': did you mean 'tensor_parallel_size'?"),
        (f"{BASE}.pp=2", "unknown key 'pp': did you mean 'pipeline_parallel_size'?"),
        (f"{BASE}.network_ms=2", "unknown key 'network_ms': did you mean 'network_s', in seconds?"),
        ("engine.dp=2", "unknown key 'dp': did you mean 'data_parallel_size'?"),
        ("engine.kv_dtype=fp8", "unknown key 'kv_dtype': did you mean 'kv_cache_dtype'?"),
        ("engine.policy=fcfs", "unknown key 'policy': did you mean 'scheduling_policy'?"),
        ("engine.speculative={num_tokens: 2}", "unknown key 'speculative': did you mean 'speculative_config'?"),
        (
            "topologies.own.providers=[{name: a, offer: openai/gpt-4o-mini, unit_usd_per_hour: null}]",
            "unknown key 'unit_usd_per_hour': did you mean 'usd_per_unit_hour'?",
        ),
        ("topologies.own.vendors=[]", "unknown key 'vendors': did you mean 'providers'?"),
        ("engine.tp=2", "it is called 'tensor_parallel_size' and belongs to topologies.pools"),
        (f"{BASE}.pue=1.2", "unknown key 'pue': it belongs to servers or cost"),
        ("engine.redundant_experts=8", "it is called 'num_redundant_experts' and belongs to engine.eplb_config"),
        ("engine.tokens_per_s=100", "unknown key 'tokens_per_s': did you mean 'throughput'?"),
        (f"{BASE}.usd_per_hour=3", "unknown key 'usd_per_hour': did you mean 'price_usd_per_gpu_hour'?"),
        (f"{BASE}.input_usd_per_mtok=1", "it is called 'prices' and belongs to topologies.providers"),
        (
            "servers=[{name: s, site: datacentre, depreciation_years: 3}]",
            "unknown key 'depreciation_years': did you mean 'life_years'?",
        ),
        ("cost.wacc=0.1", "unknown key 'wacc': did you mean 'discount_rate'?"),
        ("study.years=3", "unknown key 'years': did you mean 'months'?"),
        (f"{BASE}.lease_usd_per_month=3", "it is called 'usd_per_month' and belongs to topologies.fees"),
        ("engine.utilization=0.4", "unknown key 'utilization': how busy machines are comes from the load"),
        (f"{BASE}.bills_cold_start=false", "unknown key 'bills_cold_start': did you mean 'billed'?"),
        (f"{BASE}.billing=serverless", "it is on_demand: GPUs that scale to zero have an 'autoscaler'"),
        ("servers=[{name: s, site: colo, lease_usd_per_month: 3}]", "'usd_per_month' and belongs to topologies.fees"),
        (
            "servers=[{name: s, site: colo, warranty_usd: 3}]",
            "a share of the price a year ('maintenance_share_per_year')",
        ),
        ("servers=[{name: s, site: colo, interest_rate: 0.1}]", "what capital costs is 'cost.discount_rate'"),
        (
            "servers=[{name: s, site: colo, power_cap_kw: 100}]",
            "power that a hall has bounds replicas: the 'max' of an",
        ),
        ("servers=[{name: s, site: colo, support_share_per_year: 0.1}]", "adds to 'maintenance_share_per_year'"),
        (f"{BASE}.spot_fallback=true", "two pools and 'routing: {kind: overflow}'"),
        (
            "topologies.own.fees=[{name: f, usd_per_user_month: 10}]",
            "a price by seat times the seats is 'usd_per_month'",
        ),
        ("topologies.own.providers=[{name: p, max_tokens: 4096}]", "did you mean 'reserved_output_tokens'?"),
        ("topologies.own.providers=[{name: p, max_completion_tokens: 9}]", "did you mean 'reserved_output_tokens'?"),
        ("topologies.own.providers=[{name: p, batch_queue_limit: 9e6}]", "in half of 'window_s'"),
        ("workload.classes[0].lengths={isl: 4, max_tokens: 9}", "did you mean 'osl'?"),
        ("workload.classes[0].escalation_share=0.3", "'routing: {kind: cascade}', with 'escalate: {share: 0.3}'"),
        ("engine.throughput={tokens_per_s: 2000}", "'tokens_per_s': did you mean 'output_tokens_per_s'?"),
        ("workload.classes[0].arrivals={kind: constant, rate_rps: 1}", "are 'gamma' with a 'cv' near 0"),
        ("workload.classes[0].cache_hit_rate=0.8", "follows from what prompts share ('prefixes')"),
        (f"{BASE}.scale_to_zero=true", "have an 'autoscaler' with 'min: 0', whose 'down_window_s' keeps them"),
        (f"{BASE}.min_replicas=0", "are 'min' and 'max' of an 'autoscaler'"),
        (f"{BASE}.autoscaler={{kind: queue, max_replicas: 3}}", "are 'min' and 'max' of an 'autoscaler'"),
        (f"{BASE}.usd_per_second=0.001", "times 3,600 is 'price_usd_per_gpu_hour'"),
        (f"{BASE}.price_usd_per_month=900", "/ 730 is 'price_usd_per_gpu_hour'"),
        ("topologies.own.routing={kind: by_class}", "by 'complexity': a constant of each, and 'limits' of the targets"),
        ("workload.classes[0].lengths={isl: 4, osl: 0}", "as an embedding or a score, is a prompt with one token"),
        (f"{BASE}.gpu=dgx-spark", "unknown GPU 'dgx-spark': did you mean 'gb10'?"),
        (f"{BASE}.gpu=gb200-nvl72", "did you mean 'gb200'?"),
        (f"{BASE}.gpu=rtx-6000-pro", "did you mean 'rtx-pro-6000'?"),
        (f"{BASE}.gpu=h100-80gb", "did you mean 'h100-sxm' or 'h100-pcie'?"),
        (f"{BASE}.gpu=h100", "did you mean 'h100-nvl', 'h100-sxm' or 'h100-pcie'?"),
        (f"{BASE}.gpu=trn2", "nearest relative of these with what differs in 'hardware'"),
        (f"{BASE}.usd_per_instance_hour=3", "its price / 'gpus_per_instance' is 'price_usd_per_gpu_hour'"),
        ("topologies.own.fees=[{name: f, usd_per_year: 12}]", "a twelfth of it is 'usd_per_month'"),
        ("cost.exchange_rate=1.1", "unknown key 'exchange_rate': prices go in as US dollars"),
        ("cost.currency=EUR", "unknown key 'currency': it belongs to the scenario"),
        ("engine.kv_offloading_backend=lmcache", "LMCache is not"),
        ("engine.kv_transfer_config={}", "OffloadingConnector is 'kv_offloading_size'"),
        ("engine.dtype=fp8", "write 'quantization: fp8'"),
        ("engine.dtype=bf16", "unknown value 'bf16': did you mean 'bfloat16'?"),
        ("engine.kv_cache_dtype=fp16", "unknown value 'fp16': did you mean 'float16'?"),
    ],
)
def test_a_key_or_value_of_another_program_is_told_by_its_name_here(given: str, told: str) -> None:
    assert told in message(given)


@pytest.mark.parametrize("key", ["usd_per_mile", "colour", "x"])
def test_nothing_is_suggested_that_is_not_near(key: str) -> None:
    text = message(f"{BASE}.{key}=1")
    assert "did you mean" not in text
    assert text.count(",") < MOST_KEYS + 1
    assert "more" in text


def test_a_key_is_placed_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO.read_text().replace("enable_prefix_caching", "prefix_caching", 1))
    line = next(k for k, text in enumerate(file.read_text().splitlines(), 1) if "prefix_caching" in text)
    column = file.read_text().splitlines()[line - 1].index("prefix_caching: ") + len("prefix_caching: ") + 1
    with pytest.raises(InputError) as caught:
        load_scenario(file)
    assert str(caught.value).startswith(f"{file}:{line}:{column}: engine.prefix_caching: unknown key")


def test_every_name_of_another_program_stands_for_a_key_or_value_that_exists() -> None:
    schema = str(Scenario.model_json_schema())
    missing = [name for name in (*CALLED.values(), *VALUES.values()) if f"'{name}'" not in schema]
    assert not missing
    assert not [name for name in CALLED if name in CALLED.values()]
    assert 0.5 < NEAR < 1


def test_a_section_outside_of_scenarios_names_its_own_keys_alone() -> None:
    class Other(Pool):
        pass

    assert "belongs" not in unknown_key("pue", [Other])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (f"{BASE}.replicas=auto", f"{BASE[:-6]}[0].replicas: is open: give a number here (got auto)"),
        ("topologies.two.pools[burst].autoscaler=auto", "autoscaler: is open"),
        (f"{BASE}.replicas=many", "unknown value 'many': known are auto"),
        (f"{BASE}.replicas=1.5", "must be a valid integer"),
        (f"{BASE}.replicas=99999", "is above run.max_replicas (1024): set that higher if so many are meant"),
    ],
)
def test_sizes_are_numbers_or_left_open(given: str, told: str) -> None:
    text = message(given)
    assert told in text
    assert "\n" not in text
    if "99999" in given:
        assert load_scenario(SCENARIO, sets=[given, "run.max_replicas=99999"])


def test_an_autoscaler_is_open_in_each_of_its_numbers() -> None:
    text = message(
        *(f"topologies.elastic.pools[rented].autoscaler.{key}=auto" for key in ("min", "target_per_replica"))
    )
    assert [line.split(": ")[1].rpartition(".")[2] for line in text.splitlines()] == ["min", "target_per_replica"]


def test_how_something_is_said_otherwise_names_keys_that_there_are() -> None:
    schema = str(Scenario.model_json_schema())
    keys = {name for words in SAID_OTHERWISE.values() for name in re.findall(r"'([a-z_.]+)[:']", words)}
    assert len(keys) > 10
    assert [name for name in keys if not all(f"'{part}'" in schema for part in name.split("."))] == []
    assert not set(SAID_OTHERWISE) & set(CALLED)
