"""Rows of a plan: JSON-ready facts of each fleet that was found, or of why none was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulator.plan.candidate import Candidate
from simulator.plan.sizing import Sizing
from simulator.resolve.sizes import Scaled
from simulator.run.evaluate import Evaluation
from simulator.scenario.set_lines import Given
from simulator.size.found import Search
from simulator.size.trials import Point
from simulator.size.words import gap_warnings

SetLines = Callable[[str, Sequence[Given]], list[str]]


def rows_of(sizing: Sizing, spare: int, set_lines: SetLines) -> list[dict[str, Any]]:
    """A row for each minimal fleet; one with the reason where there is none.

    Parameters
    ----------
    set_lines : what `--set` needs to give a topology values at paths below it
    """
    candidate = sizing.candidate
    head = {"topology": candidate.topology, "hours": candidate.hours, "overflow_at": candidate.overflow_at}
    head |= _hardware(candidate)
    found = sizing.found
    searched = {
        "simulated_sizes": found.tried if found else 0,
        "claim": found.claim if found else "",
        "trail": found.rows() if found else [],
    }
    if not sizing.points:
        return [
            {
                **head,
                "feasible": False,
                "reason": sizing.reason,
                "cheapest": False,
                **searched,
            }
        ]
    shared = {**head, "feasible": True, "reason": None, "cheapest": False, **searched}
    return [{**shared, **_fleet(sizing, point, spare, set_lines)} for point in sizing.points]


def _fleet(sizing: Sizing, point: Point, spare: int, set_lines: SetLines) -> dict[str, Any]:
    pools = _pools(sizing, point, spare)
    return {
        "pools": pools,
        "gpus": sum(pool["gpus"] for pool in pools),
        "units": {pool.name: size.most for pool, size in zip(sizing.trials.pools, point, strict=True) if pool.is_units},
        "set": set_lines(sizing.candidate.topology, sizing.candidate.values(sizing.trials.sizes(point))),
        **_figures(sizing.evaluation(point, spare), sizing.found),
    }


def _hardware(candidate: Candidate) -> dict[str, Any]:
    pools = candidate.settings.pools
    return {
        "gpu": [pool.gpu for pool in pools],
        "tp": [pool.tensor_parallel_size for pool in pools],
        "pp": [pool.pipeline_parallel_size for pool in pools],
    }


def _pools(sizing: Sizing, point: Point, spare: int) -> list[dict[str, Any]]:
    """Pools with their replicas: those needed, spare ones apart; of an autoscaled pool its most."""
    needed = sizing.trials.sizes(point)
    found: list[dict[str, Any]] = []
    for k, pool in enumerate(sizing.candidate.settings.pools):
        replicas = needed[k].most if k in needed else pool.autoscaler.max if pool.autoscaler else pool.replicas
        extra = spare if k in needed and replicas else 0
        found.append(
            {
                "name": pool.name,
                "sized": k in needed,
                "size": str(needed[k]) if k in needed else "",
                "autoscaled": isinstance(needed[k], Scaled) if k in needed else pool.autoscaler is not None,
                "replicas": replicas,
                "spare": extra,
                "gpus": (replicas + extra) * pool.tensor_parallel_size * pool.pipeline_parallel_size,
            }
        )
    return found


def _figures(evaluation: Evaluation, found: Search | None) -> dict[str, Any]:
    summary = evaluation.summary
    if found:
        summary = summary.warned("size", gap_warnings(found), first=True)
    metrics, cost = summary.metrics, summary.cost
    return {
        "slo_met": evaluation.slo_met,
        "unmeasured": list(summary.unmeasured),
        "replications": len(evaluation.met),
        "replications_met": None if evaluation.slo_met is None else sum(evaluation.met),
        "slo_attainment": metrics["slo_attainment"],
        "slo_attainment_low": metrics["slo_attainment_low"],
        "slo_attainment_high": metrics["slo_attainment_high"],
        "ttft_p99_s": metrics["ttft_s"]["p99"],
        "tpot_p99_s": metrics["tpot_s"]["p99"],
        "time_in_steps": summary.time_in_steps,
        "usd_per_month": cost["usd_per_month"],
        "usd_by_replication": [one["usd_per_month"] for one in summary.replications],
        "chance": cost["chance"],
        **{name: cost[name] for name in cost if name.startswith(("usd_per_million_", "usd_per_thousand_"))},
        "arrived": metrics["arrived"],
        "served_share": metrics["served_share"],
        "binding_term": metrics["binding_term"],
        "calibrated": summary.calibrated,
        "warnings": list(summary.warnings),
    }
