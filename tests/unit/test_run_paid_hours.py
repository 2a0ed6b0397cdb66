"""Pools that are paid for while routing leaves them out are told with the schedule that is not; and it loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from scenario_cases import chat, written

from simulator.run.paid_hours import paid_at_other_hours
from simulator.run.simulate import simulate
from simulator.schema.topology import Topology

POOL = {"name": "gpus", "site": "aws-us-east", "gpu": "l40s", "replicas": "auto"}
IN, OUT = ({"windows": [{"hours": "auto", "use": [use]}], "otherwise": [rest]} for use, rest in ("ga", "ag"))
NAMES = {"g": "gpus", "a": "api"}


def topology(routing: dict[str, Any], **pool: Any) -> Topology:
    named = {
        "windows": [one | {"use": [NAMES[name] for name in one["use"]]} for one in routing["windows"]],
        "otherwise": None if routing["otherwise"] is None else [NAMES[name] for name in routing["otherwise"]],
    }
    api = {"name": "api", "offer": "openai/gpt-4o-mini"}
    return Topology.model_validate({"pools": [POOL | pool], "providers": [api], "routing": {"kind": "windows"} | named})


@pytest.mark.parametrize(
    ("routing", "when", "hint"),
    [
        (IN, "in the window of its", "'replicas: 0' with 'schedule: [{hours: auto, replicas: auto}]'"),
        (OUT, "outside the window of its", "'schedule: [{hours: auto, replicas: 0}]'"),
        (
            IN | {"windows": [{"days": "mon-fri", "hours": "8-18", "use": ["g"]}]},
            "in the window of its",
            "'replicas: 0' with 'schedule: [{days: mon-fri, hours: 8-18, replicas: auto}]'",
        ),
    ],
)
def test_a_pool_that_stays_is_told_of_a_schedule(routing: dict[str, Any], when: str, hint: str) -> None:
    (words,) = paid_at_other_hours(topology(routing))
    assert words == (
        f"gpus is paid for at all hours, and takes requests {when} routing alone: {hint} would be paid for these alone"
    )
    (schedule,) = re.findall(r"schedule: (\[.*?\])'", words)
    given = {"schedule": yaml.safe_load(schedule)} | ({"replicas": 0} if "replicas: 0' with" in words else {})
    assert paid_at_other_hours(topology(routing, **given)) == []


@pytest.mark.parametrize(
    ("routing", "pool"),
    [
        (IN, {"billing": "owned", "site": "datacentre"}),
        (IN, {"billing": "reserved_1y"}),
        (IN, {"commitments": "auto"}),
        (IN, {"autoscaler": {"kind": "queue", "min": 0, "max": 2, "target_per_replica": 8}, "replicas": 1}),
        (IN | {"otherwise": None}, {}),
        (IN | {"otherwise": ["a", "g"]}, {}),
        (IN | {"windows": [], "otherwise": None}, {}),
    ],
)
def test_who_is_used_at_all_hours_or_paid_anyway_is_not(routing: dict[str, Any], pool: dict[str, Any]) -> None:
    assert paid_at_other_hours(topology(routing, **pool)) == []


def test_the_schedule_is_paid_for_its_hours_alone(tmp_path: Path) -> None:
    """24 hours of one GPU against the 10 of the window; who follows the hint is told no more."""
    pool = "name: gpus, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 2, storage_gb: 0, egress_usd_per_gb: 0"
    rest = (
        "providers: [{name: api, offer: openai/gpt-4o-mini}], routing: {kind: windows, "
        "windows: [{hours: 8-18, use: [gpus]}], otherwise: [api]}"
    )
    always = f"always: {{pools: [{{{pool}, replicas: 1}}], {rest}}}"
    window = "replicas: 0, start_early_s: 0, schedule: [{hours: 8-18, replicas: 1}]"
    then = f"then: {{pools: [{{{pool}, {window}}}], {rest}}}"
    text = chat(always, then, study="months: 1", rate_rps=0.01, horizon_s=86_400, warmup_s=0)
    loaded = written(tmp_path, text, "cost.draws=0")
    run = simulate(loaded, tmp_path)
    costs = run.table("costs")
    usd = costs[costs["owner"] == "gpus"].groupby("topology")["usd_per_month"].sum()
    assert usd.to_dict() == pytest.approx({"always": 2 * 730, "then": 2 * 730 * 10 / 24}, rel=0.01)
    told = {name: " ".join(row["text"] for row in one["warnings"]) for name, one in run.summary["topologies"].items()}
    assert "gpus is paid for at all hours" in told["always"]
    assert "is paid for at all hours" not in told["then"]
