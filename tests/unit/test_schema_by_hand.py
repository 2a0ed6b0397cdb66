"""What is left out of a scenario, written out by hand, and the first value that each bounded number refuses."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from simulator.errors import InputError
from simulator.scenario.load import load_scenario

SHORT: dict[str, Any] = {
    "schema_version": 1,
    "name": "short",
    "model": "llama-3.1-8b-instruct",
    "engine": {
        "speculative_config": {"num_speculative_tokens": 3, "acceptance": 0.6},
        "kv_offloading_size": 8,
        "kv_connector_extra_config": {},
        "kv_connector": {"gb_per_s_per_gpu": 10},
        "prefix_cache_resets": {"every_s": 60},
        "eplb_config": {},
    },
    "workload": {
        "classes": [
            {
                "name": "chat",
                "arrivals": {"kind": "schedule", "rate_rps": 1},
                "lengths": {"isl": {"kind": "lognormal", "mean": 300, "cv": 1}, "osl": 60},
                "prefixes": {"groups": 3, "tokens": 90},
                "adapters": {"number": 2},
                "structured_outputs": {"compile_s": 0.1},
                "images": {"tokens": 90},
            },
            {
                "name": "talk",
                "arrivals": {"kind": "sessions", "rate_rps": 1, "turns": 3, "think_s": 9},
                "lengths": {"isl": 300, "osl": 60},
            },
            {"name": "users", "arrivals": {"kind": "closed_loop", "concurrency": 4}, "lengths": {"isl": 9, "osl": 9}},
        ]
    },
    "topologies": {
        "t": {
            "pools": [
                {
                    "name": "p",
                    "gpu": "h100-sxm",
                    "site": "lambda",
                    "autoscaler": {"min": 1, "max": 4, "target_per_replica": 8},
                    "schedule": [{"replicas": 2}],
                    "price_usd_per_gpu_hour": 2,
                }
            ],
            "providers": [
                {
                    "name": "api",
                    "offer": "openai/gpt-4o-mini",
                    "ttft_s": {"median": 0.5},
                    "tpot_s": {"median": 0.02},
                    "peak": {"hours": ["8-18"], "factor": 2},
                    "cache": {"life_s": 300},
                    "prices": [{"input": 1, "output": 3}],
                    "service_tiers": {"batch": {"price_factor": {}}},
                    "volume_prices": {"steps": [{"above_tokens_per_month": 9, "price_factor": 0.5}]},
                }
            ],
            "routing": {"kind": "overflow"},
            "staff": {},
            "fees": [{"name": "support"}],
        },
        "asked": {
            "pools": [{"name": "p", "gpu": "h100-sxm", "site": "lambda"}],
            "providers": [{"name": "api", "offer": "openai/gpt-4o-mini"}],
            "routing": {"kind": "complexity", "limits": {"p": 0.5, "api": 1}},
        },
        "checked": {
            "pools": [{"name": "p", "gpu": "h100-sxm"}],
            "providers": [{"name": "api", "offer": "openai/gpt-4o-mini"}],
            "routing": {"kind": "cascade", "first": "p", "second": "api", "escalate": {"above_complexity": 0.5}},
        },
        "plain": {"pools": [{"name": "p", "gpu": "h100-sxm", "site": "lambda", "hardware": {"links": {}}}]},
    },
    "servers": [{"name": "s", "site": "datacentre"}],
    "study": {
        "periods": [{"name": "all"}],
        "events": [{"name": "e", "from_month": 2, "topology": "plain", "change": {"staff": {"base_fte": 1}}}],
    },
    "run": {"horizon_s": 600},
}
"""Its `servers` are no owned pool's: that is told by whoever plans it, and here nobody does."""
EVERY_WINDOW = {"days": "mon-sun", "hours": "0-24", "holidays": "sunday"}
UNLIMITED = {"prefixes": {"share": 1, "zipf": 0}, "adapters": {"share": 1, "zipf": 0}}
OF_CLASSES = {
    "priority": 0,
    "data_class": "internal",
    "service_tier": "standard",
    "stop_token_share": 0,
    "n": 1,
    "complexity": {"kind": "uniform", "low": 0, "high": 1},
    "cache_salts": 1,
    "timeout_s": 0,
    "max_retries": 1,
    "slo": {"ttft_s": {}, "tpot_s": {}, "e2e_s": {}, "served": 0.99},
}
OF_POOLS = {
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "replicas": 1,
    "billing": "on_demand",
    "role": "both",
    "routing": "least_outstanding",
    "server_failures": [],
    "stock_outs": [],
    "max_waiting_per_replica": 0,
}
OF_APIS = {
    "service_credits": [],
    "free_tokens_per_month": 0,
    "fixed_usd_per_month": 0,
    "minimum_usd_per_month": 0,
    "provisioned_units": 0,
    "price_scale": 1,
    "max_wait_s": 10,
    "residency": False,
    "throttling": [],
    "limit_weights": {"cached_input": 1, "output": 1},
    "reserved_output_tokens": 0,
}
VLLM = {
    "dtype": "auto",
    "kv_cache_dtype": "auto",
    "block_size": 16,
    "enable_prefix_caching": True,
    "max_loras": 1,
    "enable_chunked_prefill": True,
    "long_prefill_token_threshold": 0,
    "prefill_schedule_interval": 1,
    "long_prefill_token_threshold_adaptive": False,
    "max_lora_rank": 16,
    "disable_chunked_mm_input": False,
    "scheduling_policy": "fcfs",
    "scheduler_reserve_full_isl": True,
    "watermark": 0,
    "batching": "continuous",
    "moe_backend": "auto",
    "enable_expert_parallel": False,
    "all2all_backend": "allgather_reducescatter",
    "data_parallel_size": 1,
}
HPA = {
    "kind": "queue",
    "metric": "outstanding",
    "period_s": 15,
    "tolerance": 0.1,
    "up_window_s": 0,
    "down_window_s": 300,
}
"""As Kubernetes has them: every 15 s, a tenth, no window up and five minutes down."""


def put(whole: dict[str, Any], path: str, values: dict[str, Any]) -> None:
    """Values beside those that are there."""
    at: Any = whole
    for step in path.split("."):
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    at.update(values)


WRITTEN_OUT: list[tuple[str, dict[str, Any]]] = [
    ("engine", VLLM),
    ("engine.speculative_config", {"method": "eagle", "acceptance_std": 0, "drafted_share": 1, "by_class": {}}),
    (
        "engine.kv_connector_extra_config",
        {
            "eviction_policy": "lru",
            "store_threshold": 0,
            "max_tracker_size": 64_000,
            "offload_prompt_only": True,
        },
    ),
    ("engine.kv_connector", {"latency_s": 0}),
    ("engine.prefix_cache_resets", {"reset_running_requests": False, "reset_connector": False}),
    ("engine.eplb_config", {"num_redundant_experts": 0}),
    *((f"workload.classes.{k}", OF_CLASSES) for k in range(3)),
    ("workload.classes.0.arrivals", {"cv": 1, "spikes": []}),
    ("workload.classes.0.lengths.isl", {"min": 1, "max": 131_072}),
    *((f"workload.classes.0.{name}", values) for name, values in UNLIMITED.items()),
    ("workload.classes.0.structured_outputs", {"share": 1}),
    ("workload.classes.0.images", {"number": 1, "share": 1}),
    ("workload.classes.1.arrivals", {"system_tokens": 0}),
    ("workload.classes.2.arrivals", {"think_s": 0}),
    *((f"topologies.{name}.pools.0", OF_POOLS) for name in ("t", "asked", "checked", "plain")),
    ("topologies.checked.pools.0", {"site": "elsewhere"}),
    ("topologies.plain.pools.0.hardware.links", {"pcie_lanes": 16}),
    ("topologies.plain", {"fees": [], "servers": [], "providers": [], "routing": {"kind": "weighted"}}),
    ("topologies.t.pools.0.autoscaler", HPA),
    ("topologies.t.pools.0.schedule.0", EVERY_WINDOW),
    *((f"topologies.{name}.providers.0", OF_APIS) for name in ("t", "asked", "checked")),
    ("topologies.t.providers.0.ttft_s", {"sigma": 0}),
    ("topologies.t.providers.0.tpot_s", {"sigma": 0}),
    ("topologies.t.providers.0.peak", {"time_zone": "UTC"}),
    ("topologies.t.providers.0.cache", {"least_tokens": 0, "step_tokens": 1}),
    ("topologies.t.providers.0.prices.0", {"above_tokens": 0}),
    ("topologies.t.providers.0.service_tiers.batch", {"latency_factor": 1, "window_s": 0}),
    (
        "topologies.t.providers.0.service_tiers.batch.price_factor",
        {"input": 1, "cached_input": 1, "cache_write": 1, "output": 1},
    ),
    ("topologies.t.providers.0.volume_prices", {"mode": "graduated"}),
    ("topologies.t.routing", {"when": {"waiting_per_replica": 0}, "windows": []}),
    ("topologies.t.staff", {"base_fte": 0, "fte_per_server": 0, "fte_per_replica": 0}),
    (
        "topologies.t.fees.0",
        {
            "usd_once": 0,
            "usd_per_month": 0,
            "usd_per_replica_month": 0,
            "usd_per_gpu_month": 0,
            "usd_per_million_requests": 0,
            "share_of_bill": 0,
        },
    ),
    ("topologies.asked.routing", {"classify_s": 0}),
    ("topologies.checked.routing", {"check_s": 0, "stream_first": False}),
    ("topologies.checked.routing.escalate", {"share": 0}),
    ("servers.0", {"install_usd": 0}),
    ("cost", {"taxes": [], "overrides": {}, "draws": 2000}),
    ("study", {"months": 36, "growth_per_year": 0, "growth_per_year_by_class": {}, "load_steps": []}),
    ("study.periods.0", {"load": 1, "load_by_class": {}, "quarters": [], "months": []}),
    ("study.events.0", {"downtime_h": 0, "usd_once": 0}),
    (
        "run",
        {
            "warmup_s": 0,
            "drain_s": 300,
            "start": "mon 00:00",
            "holidays": [],
            "replications": 1,
            "seed": 0,
            "max_replicas": 1024,
            "max_requests": 100_000_000,
            "keep_requests": True,
        },
    ),
]


def test_what_is_left_out_is_what_is_written_out_by_hand() -> None:
    """Defaults of the engine are vLLM's, those of an autoscaler Kubernetes'; factors are 1, amounts 0."""
    short = load_scenario(SHORT).scenario
    whole = deepcopy(SHORT)
    for path, values in WRITTEN_OUT:
        put(whole, path, values)
    written = load_scenario(whole).scenario
    for path in ("engine", "workload", "topologies", "servers", "cost", "study", "run"):
        assert getattr(short, path) == getattr(written, path), path
    assert load_scenario(SHORT | {"study": {"cut": {"window_h": 0.01}, "months": 2}}).scenario.study.cut.kinds == 4  # type: ignore[union-attr]


POOL, API, CHAT = "topologies.t.pools.0", "topologies.t.providers.0", "workload.classes.0"
BOUNDS: list[tuple[str, str, Any, Any]] = [
    *(("engine", name, 65_536, 65_537) for name in ("block_size", "max_num_seqs", "max_cudagraph_capture_size")),
    ("engine", "max_num_active_seqs", 65_536, 65_537),
    ("engine", "max_num_batched_tokens", 1_048_576, 1_048_577),
    ("engine", "max_num_scheduled_tokens", 1_048_576, 1_048_577),
    ("engine", "max_model_len", 2**31 - 1, 2**31),
    ("engine", "num_gpu_blocks_override", 2**31 - 1, 2**31),
    ("engine", "prefill_schedule_interval", 1_000_000, 1_000_001),
    ("engine", "gpu_memory_utilization", 1, 1.01),
    ("engine", "watermark", 0.99, 1),
    ("engine", "max_loras", 10_000, 10_001),
    ("engine", "data_parallel_size", 4096, 4097),
    ("engine.speculative_config", "num_speculative_tokens", 256, 257),
    ("engine.kv_connector_extra_config", "max_tracker_size", 10_000_000, 10_000_001),
    ("engine.kv_connector_extra_config", "blocks_per_chunk", 4096, 4097),
    ("engine.eplb_config", "num_redundant_experts", 16_384, 16_385),
    (CHAT, "priority", 2**31 - 1, 2**31),
    (CHAT, "n", 128, 129),
    (CHAT, "cache_salts", 1_000_000, 1_000_001),
    (CHAT, "stop_token_share", 1, 1.01),
    (f"{CHAT}.prefixes", "groups", 10_000_000, 10_000_001),
    (f"{CHAT}.adapters", "number", 10_000, 10_001),
    (f"{CHAT}.images", "number", 62, 63),
    (POOL, "tensor_parallel_size", 4096, 4097),
    (POOL, "pipeline_parallel_size", 4096, 4097),
    (POOL, "gpus_per_instance", 72, 73),
    (API, "term_months", 120, 121),
    (API, "error_probability", 0.99, 1),
    (API, "upfront_share", 1, 1.01),
    ("topologies.asked.routing", "classify_s", 3600, 3601),
    ("topologies.checked.routing", "check_s", 3600, 3601),
    ("topologies.t.fees.0", "share_of_bill", 9.9, 10),
    ("servers.0", "gpus_per_server", 72, 73),
    ("servers.0", "life_years", 30, 30.1),
    ("servers.0", "pue", 1, 0.99),
    ("cost", "discount_rate", 0.99, 1),
    ("cost", "draws", 100_000, 100_001),
    ("study.periods.0", "start_hour", 23.9, 24),
    ("study.events.0", "downtime_h", 730, 730.1),
    ("study.events.0", "from_month", 2, 1),
    ("run", "horizon_s", 315_360_000, 315_360_001),
    ("run", "replications", 1, 0),
    ("run", "max_replicas", 1, 0),
]


def told(values: list[tuple[str, dict[str, Any]]]) -> set[str]:
    """Places at which a scenario with these values is refused by the form alone, which tells all of them at once."""
    whole = deepcopy(SHORT)
    for path, given in values:
        put(whole, path, given)
    try:
        load_scenario(whole)
    except InputError as error:
        return {str(problem.path).replace("[", ".").replace("]", "") for problem in error.problems}
    return set()


def test_every_bound_is_refused_from_the_first_value_beyond_it_on() -> None:
    beyond = [(path, {name: over}) for path, name, _, over in BOUNDS]
    assert told(beyond) == {f"{path}.{name}" for path, name, _, _ in BOUNDS}


@pytest.mark.parametrize("section", ["engine", "workload", "topologies", "servers", "cost", "study", "run"])
def test_every_bound_itself_is_taken(section: str) -> None:
    """What else contradicts is told once the form holds, at other places."""
    at = [(path, {name: most}) for path, name, most, _ in BOUNDS if path.startswith(section)]
    broken = (path for path in told([*at, ("run", {"seed": -1})]))
    assert set(broken) == {"run.seed"}
