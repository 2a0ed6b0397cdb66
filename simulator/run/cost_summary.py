"""What is said of the money of each topology, and of all together: bills, intervals, swings."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.bill.category import is_of_api
from simulator.bill.commitments import most_committed
from simulator.bill.energy import per_million, study_energy
from simulator.bill.focus import Resource, focus_frame
from simulator.bill.gpu_time import Engine
from simulator.bill.savings import savings_usd
from simulator.bill.split import KINDS, StepCost, step_cost, study_split_usd
from simulator.bill.sums import mean
from simulator.bill.unit import unit_prices
from simulator.bill.units import unit_terms
from simulator.bill.unused import unused_share
from simulator.catalog.sites import site
from simulator.decide.chance import chance_of
from simulator.decide.draws import COVERAGE, Case, HowSure, draw_costs, draw_inputs, summarise_draws, tornado_of
from simulator.decide.sensitivity import Swing
from simulator.decide.standing import CHANCE_COLUMNS
from simulator.engine.config import Batching
from simulator.engine.modes.drafts.acceptance import steps_per_token
from simulator.metrics.intervals import t_interval
from simulator.resolve.sixteen_bit import sixteen_bit_steps
from simulator.resolve.topology import PlannedTopology
from simulator.run.topology_summary import Compared
from simulator.scenario.phases import over_time
from simulator.schema.scenario import Scenario
from simulator.simulate.priced import Priced
from simulator.size.speeds import AtSpeed
from simulator.study.bill import Line
from simulator.study.decision import Chance
from simulator.study.terms import Terms


def cost_summary(found: Priced, planned: PlannedTopology) -> dict[str, Any]:
    """Costs of one topology: the mean month over the study and the replications; USD per million tokens is of means."""
    usd, tokens, bill = found.usd_per_month, found.tokens, found.bill
    half_width = t_interval([replication.usd_per_month for replication in found.replications])[1]
    unit = unit_prices(usd, tokens)
    chance = chance_of(found, planned.fleet.routing)
    steps = _step_costs(found, planned)
    energy = study_energy(found.terms, found.months)
    kwh, co2_kg = per_million(energy, tokens.delivered)
    return {
        "usd_per_month": usd,
        "usd_per_month_half_width": half_width,
        "chance": None if chance is None else _of_chance(chance),
        "tokens_per_month": tokens.delivered,
        "output_tokens_per_month": tokens.output,
        "processed_tokens_per_month": tokens.processed,
        "requests_per_month": tokens.requests,
        "usd_per_million_tokens": unit.delivered,
        "usd_per_million_output_tokens": unit.output,
        "usd_per_million_processed_tokens": unit.processed,
        "usd_per_thousand_requests": unit.thousand_requests,
        "capex_usd": mean(bill.capex_usd),
        "upfront_usd": mean(bill.upfront_usd),
        "npv_usd": -mean(bill.npv_usd),
        "unused_share": unused_share([(line.part, mean(line.usd)) for line in bill.lines]),
        "discount_rate": mean(found.terms.discount_rate_per_year),
        "months": found.terms.months,
        "at_months": bill.at_months.tolist(),
        "cash_flow_usd": (-bill.paid_usd).tolist(),
        "liability_usd": mean(bill.months[-1].liability_usd),
        "committed_instances": _committed(found.terms),
        "commitments": [
            {
                "pool": offer.pool,
                "instances": instances,
                "term_months": commitment.term_months,
                "from_month": start + 1,
                "usd_per_instance_hour": mean(offer.at(start + 1).commitments[i].usd_per_instance_hour),
            }
            for offer in found.terms.rented
            for i, commitment in enumerate(offer.commitments)
            for start, instances in commitment.begins or ()
            if instances
        ],
        "committed_units": [
            {
                "provider": term.provider,
                "units": term.units,
                "term_months": term.months,
                "from_month": term.start + 1,
                "usd": mean(term.usd),
            }
            for term in unit_terms(found.terms)
        ],
        "job": job_summary(found),
        "split": _split(found, planned, steps),
        **_saved(found, planned, steps),
        "energy": [{"owner": one.owner, "kwh_per_month": one.kwh, "co2_kg_per_month": one.co2_kg} for one in energy],
        "kwh_per_million_tokens": kwh,
        "co2_kg_per_million_tokens": co2_kg,
    }


def _of_chance(chance: Chance) -> dict[str, Any]:
    """What is compared; what a moved price would make of it rests on the run itself."""
    told = asdict(chance) | {"routed": chance.routed}
    return {name: told[name] for name in CHANCE_COLUMNS.values()}


def _committed(terms: Terms) -> dict[str, int]:
    """Most instances under commitment at once, by pool, whichever of its offers has them."""
    found: dict[str, int] = {}
    for offer in terms.rented:
        if offer.commitments:
            found[offer.pool] = max(found.get(offer.pool, 0), most_committed(offer))
    return found


def job_summary(found: Priced) -> dict[str, float] | None:
    """A finite job: seconds from the order of machines to the last answer, how often a month, USD of one; else None."""
    jobs = found.terms.jobs_per_month
    if not jobs:
        return None
    seconds = [replication.usage.span_s for replication in found.replications]
    return {
        "job_s": math.fsum(seconds) / len(seconds),
        "jobs_per_month": jobs,
        "usd_per_job": found.usd_per_month / jobs,
    }


def _step_costs(found: Priced, planned: PlannedTopology) -> dict[str, StepCost]:
    return {
        pool.name: step_cost(
            [next(used for used in one.usage.pools if used.name == pool.name) for one in found.replications],
            pool.step_time,
            pool.engine.num_speculative_tokens,
            1.0 / steps_per_token(pool.engine),
        )
        for pool in planned.fleet.pools
    }


def _saved(found: Priced, planned: PlannedTopology, steps: Mapping[str, StepCost]) -> dict[str, list[dict[str, Any]]]:
    """What prefix caching, batching and quantisation save, by owner of the lines."""
    engines = {
        pool.name: Engine(
            pool.step_time,
            steps[pool.name],
            sixteen_bit_steps(planned, k),
            pool.engine.num_speculative_tokens,
            1.0 / steps_per_token(pool.engine),
            pool.engine.batching != Batching.ONE_AT_A_TIME,
        )
        for k, pool in enumerate(planned.fleet.pools)
    }
    saved = savings_usd(found.terms, found.months, found.bill, engines)
    return {
        f"saved_by_{name}": [{"owner": owner, "usd_per_month": value} for owner, value in usd.items()]
        for name, usd in asdict(saved).items()
    }


def _split(found: Priced, planned: PlannedTopology, costs: Mapping[str, StepCost]) -> list[dict[str, Any]]:
    """The bill by class, with its tenant, and token kind."""
    classes = planned.loaded.scenario.workload.classes
    usd = study_split_usd(found.terms, found.months, found.bill, costs, len(classes))
    return [
        {"class": cls.name, "tenant": cls.tenant, "token_kind": kind, "usd_per_month": float(value)}
        for cls, row in zip(classes, usd, strict=True)
        for kind, value in zip(KINDS, row, strict=True)
    ]


def cost_frame(name: str, found: Priced) -> pd.DataFrame:
    """Rows of `costs.parquet`: lines of a topology's mean month."""
    columns = ("owner", "category", "part", "site", "unit", "kind", "quantity", "usd_per_month")
    rows = [
        [line.owner, line.category, line.part, line.site, line.unit, line.kind, line.quantity, mean(line.usd)]
        for line in found.bill.lines
    ]
    frame = pd.DataFrame(rows, columns=list(columns))
    frame.insert(0, "topology", name)
    return frame


@dataclass(frozen=True, slots=True)
class Comparison:
    """The money of all topologies beside each other.

    Attributes
    ----------
    compared : of each, its swings and what the draws say of it
    cheapest_in : of those that meet the SLO, the draws in which no other of them costs less
    """

    compared: dict[str, Compared]
    cheapest_in: dict[str, NDArray[np.bool_]]


def compare_costs(
    cases: Mapping[str, Case],
    met: Collection[str],
    settings: Any,
    seed: int,
    speeds: Mapping[str, Sequence[AtSpeed]] | None = None,
) -> Comparison:
    """Swings and draws of all topologies, which share what is drawn.

    Parameters
    ----------
    met : those that meet the SLO in what is shown
    settings : the scenario's cost section
    seed : of the draws
    speeds : size needed where the engine is slower, as forecast, and faster; of topologies for which it is known
    """
    speeds = speeds or {}
    swings = {
        name: tuple(_swing(swing) for swing in tornado_of(case, settings.overrides)) for name, case in cases.items()
    }
    if not settings.draws:
        return Comparison({name: Compared(found) for name, found in swings.items()}, {})
    inputs = draw_inputs(list(cases.values()), settings.overrides, settings.draws, seed)
    draws = {
        name: draw_costs(case, settings.overrides, inputs, seed, _shifts_usd(speeds.get(name, ())))
        for name, case in cases.items()
    }
    meeting = [name for name, case in cases.items() if name in met and all(month.meets for month in case.priced.walked)]
    said = summarise_draws(draws, meeting)
    return Comparison(
        {name: Compared(found, _how_sure(said[name])) for name, found in swings.items()},
        {name: found.cheapest_in for name, found in said.items() if found.cheapest_in is not None},
    )


def _shifts_usd(speeds: Sequence[AtSpeed]) -> tuple[float, float]:
    """What the size needed costs more at either speed than at the forecast one; 0 where no size meets the SLO."""
    if not speeds:
        return 0.0, 0.0
    slow, middle, fast = (one.usd_per_month for one in speeds)
    if middle is None:
        return 0.0, 0.0
    return (0.0 if slow is None else slow - middle), (0.0 if fast is None else fast - middle)


def _swing(swing: Swing) -> dict[str, Any]:
    return {
        "input": swing.name,
        "low": swing.low,
        "base": swing.base,
        "high": swing.high,
        "usd_per_month_low": swing.low_usd,
        "usd_per_month_base": swing.base_usd,
        "usd_per_month_high": swing.high_usd,
    }


def _how_sure(found: HowSure) -> dict[str, Any]:
    return {
        "draws": found.draws,
        "coverage": COVERAGE,
        "usd_per_month": found.usd_per_month._asdict(),
        "usd_per_million_tokens": found.usd_per_million_tokens._asdict(),
        "probability_cheapest": found.cheapest,
        "probability_cheapest_meeting_slo": found.cheapest_meeting,
    }


def focus_csv(scenario: Scenario, cases: Mapping[str, Case]) -> str:
    """Bills of all topologies as CSV with FOCUS columns; a sub account each."""
    frames = [
        focus_frame(
            case.priced.bill.lines,
            [_resource(line, case.priced.terms, regions) for line in case.priced.bill.lines],
            scenario.name,
            name,
            scenario.study.first_month,
        )
        for name, case in cases.items()
        for regions in [_regions(scenario, name)]
    ]
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return str(pd.concat(filled, ignore_index=True).to_csv(index=False, lineterminator="\n"))


def _regions(scenario: Scenario, name: str) -> dict[str, str]:
    """Regions that token APIs of a topology say, by their name; the last one of those that an event moves."""
    return {api.name: api.region for topology in over_time(scenario, name) for api in topology.providers if api.region}


def _resource(line: Line, terms: Terms, regions: Mapping[str, str]) -> Resource:
    """Who provides what a line pays for, and where; what is for a topology as a whole stands where it owns servers.

    Parameters
    ----------
    regions : of owners that say their own
    """
    place = line.site
    is_api = line.owner in (api.provider for api in terms.apis) and is_of_api(line.category)
    if not place and line.owner == terms.topology and not is_api:
        if not terms.owned:
            return Resource("in house", "")
        place = terms.owned[0].site
    found = Resource(site(place).title, site(place).region) if place else Resource(line.owner, "")
    return replace(found, region=regions.get(line.owner, found.region))
