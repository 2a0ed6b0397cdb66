"""The scenario that answers make, as the text of its file, with the reason beside each default."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from simulator.catalog.titles import title_of
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError, Problem
from simulator.questions.answers import BATCH, Answers, is_asked, plain_name, questions
from simulator.questions.checks import check_answers, check_prices
from simulator.questions.fit import DEGREES, fit_of, format_of
from simulator.questions.hours import period_lines
from simulator.questions.log import Log, log_words, read_log
from simulator.questions.topologies import has_api, own_hardware, server_lines, topology_lines
from simulator.questions.traffic import (
    ANSWER_CV,
    LENGTH_CV,
    NEW_TOKENS,
    batch_rate_rps,
    busy_rate_rps,
    cached_tokens,
    longest_session_tokens,
    session_prompt,
    shared_tokens,
    user_tokens,
)
from simulator.resolve.memory import writes_text
from simulator.schema.base import SMALLEST, DataClass
from simulator.units import MONTHS_PER_YEAR, SECONDS_PER_HOUR, rough

LONGEST_WARM_UP_S = 3600
LEAST_WARM_UPS = 20
"""How many times as long as its warm-up a log is at least."""


def scenario_text(given: Mapping[str, Any], folder: Path = Path(), name: str = "new") -> str:
    """YAML of a scenario in which every size that was not given is searched.

    Parameters
    ----------
    given : answers by the question's name (`Answers`); the others are answered by their defaults, and marked so
    folder : of the scenario, from which the path of a config.json goes
    name : of the scenario where no answer says it, as the schema asks for names

    Raises
    ------
    InputError : answers that contradict each other, an unknown name, a model that does not fit the GPU, or a price that
        the catalog lacks; each has the name of its question as its path
    """
    prompt = session_prompt(given)
    answers = Answers(**given) if prompt is None else Answers(**{**given, "isl": prompt})
    check_answers(answers, folder)
    answers = replace(answers, quantization=format_of(answers, folder))
    log = read_log(answers, folder)
    rate_rps = busy_rate_rps(answers, log)
    if log is not None:
        answers = replace(answers, isl=log.isl, osl=log.osl)
    answers = _vector(answers, given, folder)
    fit = fit_of(answers, folder, answers.gpu, own_hardware(answers), answers.owned_gpus or DEGREES[-1])
    check_prices(answers)
    topologies = topology_lines(answers, fit, folder)
    return "\n".join(
        [
            "# Made of answers to questions (servecast new); what was not answered is marked as a default.",
            *(f"# {line}" for line in _defaults(Answers(**given), given, answers)),
            "schema_version: 1",
            f"name: {json.dumps(plain_name(answers.name or '') or name)}",
            f"description: {json.dumps(_description(answers, rate_rps, log))}",
            f"model: {json.dumps(answers.model)}",
            f"engine: {{{_format(answers)}max_model_len: {fit.max_model_len}}}",
            *(_workload(answers, rate_rps, fit.max_model_len) if log is None else _logged(answers, log)),
            *_batch(answers, fit.max_model_len, () if log is None else log.labels),
            *topologies,
            *server_lines(answers),
            *_currency(answers),
            *_study(answers),
            *_run(log),
            "",
        ]
    )


def _vector(answers: Answers, given: Collection[str], folder: Path) -> Answers:
    """One output token where the model answers with a vector or a score.

    Raises
    ------
    InputError : more were asked for
    """
    if answers.trace is not None or writes_text(answers.model, folder):
        return answers
    if "osl" in given and answers.osl != 1:
        told = f"{answers.model} answers with a vector or a score, not with text: that is one token"
        raise InputError(Problem(told, path="osl", got=str(answers.osl)))
    return replace(answers, osl=1)


def _format(answers: Answers) -> str:
    """Format of the weights; the model's own, which the engine takes unless told, where none is asked for."""
    return "" if answers.quantization == "none" else f"quantization: {answers.quantization}, "


def _description(answers: Answers, rate_rps: float, log: Log | None) -> str:
    """What is served to whom, behind the name as it was said where the scenario's cannot be that."""
    said = (answers.name or "").strip()
    name = f"{said}: " if said and said != plain_name(said) else ""
    people = f" for {answers.users:,} people" if answers.users else ""
    waiting = f", and {answers.batch_per_day:,.12g} a day that may wait" if answers.batch_per_day else ""
    asked = f"{rough(rate_rps)} requests per second {_when(log)}{waiting}"
    return f"{name}{title_of('model', answers.model)}{people}, {asked}."


def _when(log: Log | None) -> str:
    return "in a busy hour" if log is None else "in the mean of a log"


def _defaults(answers: Answers, given: Mapping[str, Any], taken: Answers) -> list[str]:
    """A line for each question that nobody answered: its default, and why it is what it is."""
    said, known, lines = asdict(answers), set(given), list[str]()
    if (prompt := session_prompt(given)) is not None:
        known.add("isl")
        lines = [f"default isl: {prompt} (each request of a session brings {NEW_TOKENS} to what was said before)"]
    if taken.osl == 1 and taken.trace is None:
        known |= {"osl", "tpot_s"}
    return lines + [
        f"default {asked.name}: {asked.why}"
        if asked.default is None
        else f"default {asked.name}: {asked.default} ({asked.why})"
        for asked in questions()
        if asked.why and asked.name not in known and is_asked(asked.name, said)
        if has_api(answers) or not asked.name.startswith("api_")
    ]


def _workload(answers: Answers, rate_rps: float, longest: int) -> list[str]:
    """The classes: one, or one for each kind of data."""
    parts: list[tuple[str, DataClass, float]] = [("requests", answers.data_class, 1 - answers.other_share)]
    if answers.other_share:
        parts.append((answers.other_data_class, answers.other_data_class, answers.other_share))
    said = _requests(answers, longest)
    lines = ["workload:", "  classes:"]
    for name, kind, share in parts:
        rate = f"{rate_rps * share:.6g}"
        lines += [f"    - name: {name}", *(line.replace("RATE", rate) for line in said), *_terms(answers, kind)]
    return lines


def _batch(answers: Answers, longest: int, others: Collection[str]) -> list[str]:
    """The class of requests that may wait for hours, which come in all hours alike.

    Parameters
    ----------
    others : names of the other classes, where they have names of their own
    """
    if not answers.batch_per_day:
        return []
    ends = ((answers.batch_isl, LENGTH_CV, longest // 4 * 3), (answers.batch_osl, ANSWER_CV, longest // 4))
    isl, osl = (f"{{kind: lognormal, mean: {mean}, cv: {cv}, max: {most}}}" for mean, cv, most in ends)
    osl, name = osl if answers.osl > 1 else "1", BATCH
    while name in others:
        name += "_too"
    return [
        f"    - name: {name}",
        f"      arrivals: {{kind: poisson, rate_rps: {batch_rate_rps(answers):.6g}}}",
        f"      lengths: {{isl: {isl}, osl: {osl}}}",
        f"      data_class: {answers.data_class}",
        "      service_tier: batch",
        f"      slo: {{e2e_s: {{p95: {answers.batch_hours * SECONDS_PER_HOUR:g}}}}}",
    ]


def _terms(answers: Answers, kind: DataClass) -> list[str]:
    """Kind of the data and SLO of a class."""
    tokens = f", tpot_s: {{p95: {answers.tpot_s:g}}}" if answers.osl > 1 else ""
    return [f"      data_class: {kind}", f"      slo: {{ttft_s: {{p95: {answers.ttft_s:g}}}{tokens}}}"]


def _logged(answers: Answers, log: Log) -> list[str]:
    """The classes of a log: one, or one for each label of its rows."""
    parts = ["kind: trace", f"file: {json.dumps(answers.trace)}"]
    if log.columns:
        names = ", ".join(f"{ours}: {json.dumps(theirs)}" for ours, theirs in log.columns)
        parts.append(f"columns: {{{names}}}")
    if log.failures:
        parts.append("leave_out_failures: true")
    if log.talks and not log.has_hashes:
        parts.append("prompts_grow: true")
    lines = [
        f"# {log_words(log)}.",
        *(["# Its columns are known by their names; others can be said here."] if log.columns else []),
        "workload:",
        "  classes:",
    ]
    for name in log.labels or ("requests",):
        said = [f"    - name: {json.dumps(name)}", f"      arrivals: {{{', '.join(parts)}}}"]
        lines += [*said, *_terms(answers, answers.data_class)]
    return lines


def _run(log: Log | None) -> list[str]:
    """What is simulated: half an hour of each kind of hours, or a log from its first to its last request."""
    if log is None:
        return ["run: {horizon_s: 1800, warmup_s: 300, start: mon 8:00}"]
    warmup_s = min(math.floor(log.span_s / LEAST_WARM_UPS), LONGEST_WARM_UP_S)
    start = "mon 0:00" if log.start is None else log.start
    why = f"as it begins, by UTC{log.zone}"
    if log.start is None:
        why = "if it begins on a Monday at midnight, as it does not say"
    return [
        f"# All of the log, {why}; a month is as busy as the log is.",
        f"run: {{horizon_s: {math.ceil(log.span_s)}, warmup_s: {warmup_s}, start: {start}}}",
    ]


def _requests(answers: Answers, longest: int) -> list[str]:
    """Arrivals and lengths of a class."""
    shared = shared_tokens(answers)
    spread = f"{{kind: lognormal, mean: {answers.osl}, cv: {ANSWER_CV}, max: {longest // 4}}}"
    osl = spread if answers.osl > 1 else "1"
    if answers.turns == 1:
        isl = f"{{kind: lognormal, mean: {answers.isl}, cv: {LENGTH_CV}, max: {longest // 4 * 3}}}"
        return [
            "      arrivals: {kind: poisson, rate_rps: RATE}",
            f"      lengths: {{isl: {isl}, osl: {osl}}}",
            *([*_never_cached(answers), f"      prefixes: {{groups: 1, tokens: {shared}}}"] if shared else []),
        ]
    user = user_tokens(answers)
    system = f", system_tokens: {shared}" if shared else ""
    session = f"turns: {answers.turns}, think_s: {answers.think_s:g}{system}"
    lengths = f"isl: {user}, osl: {answers.osl}"
    said = "alike, as the model's context has no room for longer ones"
    if longest_session_tokens(answers) <= longest:
        isl, osl = (
            f"{{kind: lognormal, mean: {n}, cv: {cv}}}" for n, cv in ((user, LENGTH_CV), (answers.osl, ANSWER_CV))
        )
        lengths, said = f"isl: {isl}, osl: {osl}", "on average"
    return [
        f"      # {user:,} new tokens a request, {said}, make prompts of {answers.isl:,} in the mean of a session.",
        f"      arrivals: {{kind: sessions, rate_rps: RATE, {session}}}",
        f"      lengths: {{{lengths}}}",
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


def _currency(answers: Answers) -> list[str]:
    if answers.currency is None:
        return []
    day, source = json.dumps(answers.rate_date), json.dumps(answers.rate_source)
    rate = f"code: {json.dumps(answers.currency)}, usd_per_unit: {answers.usd_per_unit:.12g}, date: {day}"
    return [f"currency: {{{rate}, source: {source}}}"]


def _study(answers: Answers) -> Sequence[str]:
    growth = (1 + answers.growth_per_month) ** MONTHS_PER_YEAR - 1
    lines = ["study:", f"  months: {answers.months:g}"]
    if answers.spend_usd_per_month is not None:
        lines.append(f"  paid_today_usd_per_month: {answers.spend_usd_per_month:.12g}")
    if answers.budget_usd_per_month is not None:
        lines.append(f"  budget_usd_per_month: {answers.budget_usd_per_month:.12g}")
    if abs(growth) >= SMALLEST:
        lines.append(f"  growth_per_year: {growth:.6g}")
    if answers.trace is None:
        lines += period_lines(answers)
    return lines
