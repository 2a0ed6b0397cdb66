"""The scenario that answers make, as the text of its file, with the reason beside each default."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.catalog.sites import site
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError
from simulator.questions.answers import AMOUNTS, RATE, Answers, is_asked, questions
from simulator.questions.traffic import BUSY_HOURS, busy_rate_rps, cached_tokens, shared_tokens
from simulator.resolve.engines import plan_engine
from simulator.resolve.memory import Answer, Question, answer
from simulator.schema.base import LARGEST, SMALLEST
from simulator.schema.engine import EngineSettings
from simulator.size.guess import requests_until, requests_within

DEGREES = (1, 2, 4, 8)
REQUESTS_AT_ONCE = 16
"""Requests of mean length that the KV cache of a replica is to hold."""
LONGEST = 4
"""Longest request, as a multiple of the mean one."""
LEAST_LENGTH = 4096
OWN_SITE = "datacentre"
LATE = 0.05
"""Share of the requests that may miss a limit: the terms that are written are p95."""
FULL_AT = 0.75
"""Share of the requests that a replica holds at once within the limit on tokens, from which on a hybrid sends requests
on: some run ahead of the mean, and prompts come in bunches."""


def scenario_text(given: Mapping[str, Any], folder: Path = Path(), name: str = "new") -> str:
    """YAML of a scenario in which every size that was not given is searched.

    Parameters
    ----------
    given : answers by the question's name (`Answers`); the others are answered by their defaults, and marked so
    folder : of the scenario, from which the path of a config.json goes
    name : of the scenario, as the schema asks for names

    Raises
    ------
    InputError : answers that contradict each other, an unknown name, or a model that does not fit the GPU
    """
    answers = Answers(**given)
    _check(answers)
    rate_rps = busy_rate_rps(answers)
    fit = _smallest_fit(answers, folder)
    topologies = _topologies(answers, fit, folder)
    return "\n".join(
        [
            "# Made of answers to questions (servecast new); what was not answered is marked as a default.",
            *(f"# {line}" for line in _defaults(answers, given)),
            "schema_version: 1",
            f"name: {json.dumps(name)}",
            f"description: {json.dumps(f'{answers.model} at {rate_rps:.3g} requests per second in a busy hour.')}",
            f"model: {json.dumps(answers.model)}",
            f"engine: {{quantization: {answers.quantization}, max_model_len: {fit.plan.max_model_len}}}",
            *_workload(answers, rate_rps, fit.plan.max_model_len),
            "# auto: the cheapest size that meets the SLO is searched, so each topology is compared at its best.",
            *_left_out(answers),
            "topologies:",
            *topologies,
            *_currency(answers),
            *_study(answers),
            "run: {horizon_s: 1800, warmup_s: 300, start: mon 8:00}",
            "",
        ]
    )


def _check(answers: Answers) -> None:
    for asked in questions():
        value = getattr(answers, asked.name)
        if isinstance(value, int | float) and not abs(value) <= LARGEST:
            raise InputError(f"{asked.name}: must be at most {LARGEST:g} in size")
    for name in ("isl", "osl", "requests_per_user_per_hour", "ttft_s", "tpot_s", "months"):
        if not getattr(answers, name) > 0:
            raise InputError(f"{name}: must be above 0 (got {getattr(answers, name):g})")
    if not 0 <= answers.cached_share < 1:
        raise InputError(f"cached_share: must be from 0 to less than 1 (got {answers.cached_share:g})")
    if not answers.growth_per_month > -1:
        raise InputError(f"growth_per_month: must be above -1 (got {answers.growth_per_month:g})")
    if answers.owned_gpus < 0:
        raise InputError(f"owned_gpus: must be at least 0 (got {answers.owned_gpus})")
    _check_rate(answers)


def _check_rate(answers: Answers) -> None:
    given = {name: getattr(answers, name) for name in RATE}
    if answers.currency is None:
        if said := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{said[0]}: say of which currency it is (currency)")
        return
    if missing := [name for name, value in given.items() if value is None or value == ""]:
        raise InputError(f"{missing[0]}: a currency needs its rate to the dollar, the day of it and its source")


def _defaults(answers: Answers, given: Collection[str]) -> list[str]:
    """A line for each question that nobody answered: its default, and why it is what it is."""
    amount = next(name for name in AMOUNTS if getattr(answers, name) is not None)
    return [
        f"default {asked.name}: {asked.default} ({asked.why})"
        for asked in questions()
        if asked.why and asked.name not in given
        if is_asked(asked.name, amount)
    ]


def _smallest_fit(answers: Answers, folder: Path) -> Answer:
    """The plan of the fewest GPUs on which a replica holds the model and some requests."""
    wanted = LEAST_LENGTH
    while wanted < LONGEST * (answers.isl + answers.osl):
        wanted *= 2
    context = answer(_question(answers, folder, 1, None)).shape.context
    if answers.isl + answers.osl > context:
        text = f"isl: prompt and answer have {answers.isl + answers.osl} tokens, {answers.model} takes {context}"
        raise InputError(text)
    found = [answer(_question(answers, folder, tp, min(wanted, context))) for tp in DEGREES]
    for each in found:
        if each.plan.fits and each.plan.kv_tokens >= REQUESTS_AT_ONCE * (answers.isl + answers.osl):
            return each
    fitting = [each for each in found if each.plan.fits]
    if fitting:
        return fitting[-1]
    raise InputError(f"gpu: {answers.model} does not fit {DEGREES[-1]} {answers.gpu}: {found[-1].plan.refusals[0]}")


def _question(answers: Answers, folder: Path, tp: int, length: int | None) -> Question:
    dtype = "auto" if answers.quantization == "none" else answers.quantization
    return Question(answers.model, answers.gpu, tp=tp, dtype=dtype, max_model_len=length, folder=folder)


def _workload(answers: Answers, rate_rps: float, longest: int) -> list[str]:
    shared = shared_tokens(answers)
    isl = f"{{kind: lognormal, mean: {answers.isl}, cv: 0.8, max: {longest // 4 * 3}}}"
    osl = f"{{kind: lognormal, mean: {answers.osl}, cv: 0.7, max: {longest // 4}}}"
    return [
        "workload:",
        "  classes:",
        "    - name: requests",
        f"      arrivals: {{kind: poisson, rate_rps: {rate_rps:.6g}}}",
        f"      lengths: {{isl: {isl}, osl: {osl}}}",
        *([*_never_cached(answers), f"      prefixes: {{groups: 1, tokens: {shared}}}"] if shared else []),
        f"      data_class: {answers.data_class}",
        f"      slo: {{ttft_s: {{p95: {answers.ttft_s:g}}}, tpot_s: {{p95: {answers.tpot_s:g}}}}}",
    ]


def _never_cached(answers: Answers) -> list[str]:
    """A line where what prompts share is too short for the cache of the token API."""
    offer = None if answers.offer is None else token_offer(answers.offer)
    if offer is None or offer.cache is None or cached_tokens(answers, offer):
        return []
    least, shared = int(offer.cache.least.value), shared_tokens(answers)
    return [
        f"      # {offer.id} caches beginnings of {least:,} tokens and more: these {shared:,} are paid in full there."
    ]


def _takes(answers: Answers) -> dict[str, bool]:
    """The places that were asked for, and whether these data may go there."""
    places = {answers.site: answers.site}
    if answers.offer is not None:
        places[answers.offer] = token_offer(answers.offer).site
    return {name: answers.data_class in site(place).data_classes for name, place in places.items()}


def _left_out(answers: Answers) -> list[str]:
    """A line for each place that no topology has, as the data may not go there."""
    return [
        f"# left out: {name}, which may not take {answers.data_class} data (servecast catalog sites)"
        for name, takes in _takes(answers).items()
        if not takes
    ]


def _topologies(answers: Answers, fit: Answer, folder: Path) -> list[str]:
    tp = fit.question.tp
    takes = _takes(answers)
    has_site = takes[answers.site]
    has_api = answers.offer is not None and takes[answers.offer]
    replicas = str(answers.owned_gpus // tp) if answers.owned_gpus else "auto"
    if answers.owned_gpus and answers.owned_gpus < tp:
        raise InputError(f"owned_gpus: a replica of {answers.model} takes {tp} {answers.gpu}")
    own = _pool("base", OWN_SITE, answers.gpu, tp, f"replicas: {replicas}, billing: owned")
    scaled = "replicas: auto" if answers.busy == "always" else "autoscaler: auto"
    rented = _pool("rented", answers.site, answers.gpu, tp, scaled)
    api = f"    providers: [{{name: api, offer: {answers.offer}}}]"
    found = [("on_prem", ["    pools:", own])]
    if has_site:
        found.append(("cloud", ["    pools:", rented]))
    if has_api:
        found.append(("api", [api]))
    if has_api or has_site:
        burst = "api" if has_api else "rented"
        more = [api] if has_api else []
        full = _full_at(answers, fit, folder)
        routing = f"order: [base, {burst}], when: {{outstanding_per_replica: {full}}}"
        pools = ["    pools:", own, *([] if has_api else [rented])]
        why = (
            f"    # {full}: what a replica of base holds within {answers.ttft_s:g} s to the first token, or "
            f"{FULL_AT:.0%} of what it holds within {answers.tpot_s:g} s a token."
        )
        found.append(("hybrid", [*pools, *more, why, f"    routing: {{kind: overflow, {routing}}}"]))
    said = _paid_for(answers.gpu) if answers.owned_gpus else []
    return [*said, *(line for name, lines in found for line in (f"  {name}:", *lines))]


def _full_at(answers: Answers, fit: Answer, folder: Path) -> int:
    """Requests running and waiting per replica from which on a hybrid sends requests on."""
    settings = EngineSettings(quantization=answers.quantization, max_model_len=fit.plan.max_model_len)
    engine = plan_engine(answers.model, answers.gpu, fit.question.tp, 1, settings, folder)
    lengths = engine.config, engine.step_time, answers.isl, answers.osl
    held = FULL_AT * requests_within(*lengths, answers.tpot_s)
    return max(int(min(held, requests_until(*lengths, answers.ttft_s, LATE))), 1)


def _paid_for(gpu: str) -> list[str]:
    """How to say that servers are there and paid for."""
    return [
        "  # Servers are billed as if they were bought now, with spares. What is paid for already says so, as a key of",
        f"  # the scenario: servers: [{{name: own, site: {OWN_SITE}, gpu: {gpu}, capex_usd: 0, spares: 0}}]",
    ]


def _pool(name: str, place: str, gpu: str, tp: int, size: str) -> str:
    return f"      - {{name: {name}, site: {place}, gpu: {gpu}, tensor_parallel_size: {tp}, {size}}}"


def _currency(answers: Answers) -> list[str]:
    if answers.currency is None:
        return []
    day, source = json.dumps(answers.rate_date), json.dumps(answers.rate_source)
    rate = f"code: {json.dumps(answers.currency)}, usd_per_unit: {answers.usd_per_unit:.12g}, date: {day}"
    return [f"currency: {{{rate}, source: {source}}}"]


def _study(answers: Answers) -> Sequence[str]:
    growth = (1 + answers.growth_per_month) ** 12 - 1
    lines = ["study:", f"  months: {answers.months:g}"]
    if abs(growth) >= SMALLEST:
        lines.append(f"  growth_per_year: {growth:.6g}")
    kinds = BUSY_HOURS[answers.busy]
    if kinds:
        lines.append("  periods:")
        lines += [
            f"    - {{name: {'busy' if k == 0 else f'quiet_{k}'}, days: {days}, hours: {hours}, load: {load:g}}}"
            for k, (days, hours, load) in enumerate(kinds)
        ]
    return lines
