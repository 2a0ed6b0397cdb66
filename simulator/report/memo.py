"""A run as a memo of a page or two; its bytes depend on the bundle alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.catalog.costs import cost_words
from simulator.catalog.titles import in_titles, own_names
from simulator.decide.why import unmeasured_words
from simulator.figures.table import NONE, figure
from simulator.metrics.parts import reason_words
from simulator.money import converted, money, rate_words, shown_in, with_sign
from simulator.report.blocks import Block, Bullets, Heading, Paragraph, Picture, Table, markdown
from simulator.report.charts import cost_against_attainment
from simulator.report.cost_charts import basis_words, horizon_months, items, line_items, paid_usd
from simulator.report.decision import decision_notes
from simulator.report.html import spec
from simulator.report.inputs import input_unit, input_value
from simulator.report.key_words import key_words, names_of
from simulator.report.money import WIDTH, money_notes
from simulator.report.paired import differences_to, paired, paired_words
from simulator.report.table import (
    SAVED,
    baseline,
    binding_words,
    comparison,
    missed_words,
    ordered,
    period_words,
    saved_usd,
    warnings,
)
from simulator.report.why import sides, why_notes
from simulator.results.bundle import Bundle
from simulator.scenario.document import read_document
from simulator.units import month_words

_SWINGS = 3
_NOTHING = (NONE, "0%")


def memo(bundle: Bundle) -> str:
    """`memo_blocks` as Markdown, ending in a newline."""
    return markdown(memo_blocks(bundle))


def memo_blocks(bundle: Bundle) -> list[Block]:
    """Question, verdict, comparison, why, money, what would change the answer, risks and provenance of a run.

    Raises
    ------
    InputError : a broken bundle
    """
    with shown_in(bundle.summary.get("currency")), own_names(names_of(bundle.summary)):
        return [_called(block) for block in _blocks(bundle)]


def _called(block: Block) -> Block:
    """The block with what the catalog has by its titles."""
    if isinstance(block, Paragraph):
        return replace(block, text=in_titles(block.text))
    if isinstance(block, Bullets):
        return replace(block, lines=[in_titles(line) for line in block.lines])
    return block


def _blocks(bundle: Bundle) -> list[Block]:
    summary = bundle.summary
    topologies = ordered(summary)
    rows, headers = comparison(topologies)
    names = list(topologies)
    lines = line_items(items(bundle.table("costs"), topologies, "month"), names, basis_words("month"))
    return [
        Heading(1, summary["scenario"]),
        Paragraph(summary["description"]),
        Paragraph(summary["verdict"], strong=True),
        Heading(2, "Comparison"),
        Table(["", *headers[1:]], rows),
        *(Paragraph(words) for words in (period_words(topologies), rate_words()) if words),
        _picture(cost_against_attainment(topologies), "Cost against service level"),
        Heading(2, "Service"),
        Bullets(_service(topologies)),
        *_why(topologies, why_notes(sides(bundle), baseline(topologies))),
        Heading(2, "Money"),
        _picture(lines.properties(title="Where the money goes", width=WIDTH), "Where the money goes"),
        Bullets([*_bills(topologies), *money_notes(topologies)]),
        Heading(2, "What would change the answer"),
        Bullets([*decision_notes(bundle.decision, topologies), *_swings(topologies)]),
        Heading(2, "What the figures rest on"),
        Bullets(warnings(topologies)),
        Heading(2, "Provenance"),
        Bullets(_provenance(bundle)),
    ]


def _picture(chart: Any, words: str) -> Picture:
    return Picture(spec(chart), words)


def _service(topologies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, found in topologies.items():
        metrics = found["metrics"]
        missed = [
            f"{term['class']}: {term['term']} ({missed_words(term)})"
            for term in metrics["slo_terms"]
            if term["met"] is False
        ]
        unknown = [(one["class"], one["period"]) for one in found.get("unmeasured", ())]
        lost = {status: count for status, count in metrics["statuses"].items() if count and status != "completed"}
        why = metrics["reasons"]
        words = "meets every term of the SLO"
        if missed:
            words = f"misses {'; '.join(missed)}"
        elif unknown:
            words = f"has no verdict, as {unmeasured_words(unknown)}"
        words += f"; nearest to its limit: {binding_words(found)}" if metrics["slo_met"] and not unknown else ""
        counts = ", ".join(
            f"{count:,} {status.replace('_', ' ')}{reason_words(why.get(status, {}), count)}"
            for status, count in lost.items()
        )
        ended = f"of {metrics['arrived']:,} requests {counts or 'none was lost'}"
        lines.append(f"{name} {words}; {ended if metrics['arrived'] else 'nobody came'}.")
    return lines


def _why(topologies: Mapping[str, Mapping[str, Any]], notes: Sequence[str]) -> list[Block]:
    """Differences to the topology that is recommended, where there is one to compare it to."""
    best = baseline(topologies)
    rows, headers = differences_to(topologies, best)
    found: list[Block] = [Heading(2, "Why"), Bullets(notes)] if notes else []
    if len(headers) < 2 or not paired(topologies, best):
        return found
    text = f"Each figure less that of {best}{paired_words(topologies)}"
    return [*(found or [Heading(2, "Why")]), Paragraph(text), Table(headers, rows)]


def _bills(topologies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What each topology costs over the horizon, and how much of it pays for what nobody used."""
    lines = []
    for name, found in topologies.items():
        cost = found["cost"]
        share = figure("unused_share").text(cost["unused_share"])
        unused = "" if share in _NOTHING else f", {share} of it for what is idle, spare, unused, starting or down"
        prices = ", ".join(
            f"{with_sign(figure(key).text(cost[key]))} {words}"
            for key, words in (
                ("usd_per_million_processed_tokens", "over all"),
                ("usd_per_million_output_tokens", "over output"),
                ("usd_per_million_tokens", "over delivered"),
            )
            if cost[key] is not None
        )
        thousand = figure("usd_per_thousand_requests").text(cost["usd_per_thousand_requests"])
        start = cost["upfront_usd"]
        paid = f"{money(paid_usd(found))}{f' with resale taken off, {money(start)} at the start' if start else ''}"
        parts = (
            f"{money(cost['usd_per_month'])} per month{unused}",
            f"per 1M tokens {prices} ones" if prices else "",
            f"per 1,000 requests {with_sign(thousand)}" if thousand != NONE else "",
            f"over {month_words(horizon_months(found))} {paid}",
            f"present value of all payments {money(-cost['npv_usd'])}",
            _shares(cost["split"]) if prices else "",
        )
        lines.append(f"{name}: {'; '.join(part for part in parts if part)}.")
        lines += [f"{name}: {text}." for text in (*_commitments(cost), *_saved(cost), *_speeds(found))]
    return lines


def _saved(cost: Mapping[str, Any]) -> list[str]:
    """What is not in the bill as it was saved."""
    texts = []
    for key, words in SAVED.items():
        found, usd = cost[key], saved_usd(cost, key)
        parts = ", ".join(f"{row['owner']} {money(row['usd_per_month'])}" for row in found) if len(found) > 1 else ""
        if usd:
            texts.append(f"{words} a month would cost {money(usd)} more{f' ({parts})' if parts else ''}")
    return texts


def _speeds(found: Mapping[str, Any]) -> list[str]:
    """What size is needed where the engine is slower or faster than forecast, by the error to expect."""
    texts = []
    for one in found.get("at_speeds", ()):
        if one["factor"] != 1.0:
            sizes = ", ".join(f"{pool} {size}" for pool, size in one["sizes"].items())
            usd = one["usd_per_month"]
            at = f"steps {abs(one['factor'] - 1):.0%} {'longer' if one['factor'] > 1 else 'shorter'} than forecast"
            met = "it misses the SLO" if usd is None else f"{sizes or 'the same fleet'} would do, for {money(usd)}"
            texts.append(f"with {at} {met}")
    return ["; ".join(texts)] if texts else []


def _commitments(cost: Mapping[str, Any]) -> list[str]:
    """What is committed in each pool and at each token API, and what is still owed after the study."""
    terms: dict[str, list[str]] = {}
    for term, until in _renewed(cost["commitments"]):
        price = with_sign(f"{converted(term['usd_per_instance_hour']):,.2f}")
        words = f"{term['instances']} for {_term(term, until)} at {price} an hour"
        terms.setdefault(f"instances of {term['pool']}", []).append(words)
    for term, until in _renewed(cost["committed_units"]):
        words = f"{term['units']:g} for {_term(term, until)} at {money(term['usd'])} a term"
        terms.setdefault(f"units of {term['provider']}", []).append(words)
    owed = f"; {money(cost['liability_usd'])} is owed after the study" if cost["liability_usd"] > 0 else ""
    return [f"{what} under commitment: {', '.join(found)}{owed}" for what, found in terms.items()]


def _renewed(terms: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int]]:
    """The first of each row of equal terms that follow one another, and the month in which the last of them ends."""
    found: list[tuple[Mapping[str, Any], int]] = []
    for term in terms:
        until = term["from_month"] + term["term_months"] - 1
        same = (k for k, (first, end) in enumerate(found) if end + 1 == term["from_month"] and _alike(first, term))
        at = next(same, None)
        if at is None:
            found.append((term, until))
        else:
            found[at] = found[at][0], until
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {**one, "from_month": 0} == {**other, "from_month": 0}


def _term(term: Mapping[str, Any], until: int) -> str:
    months, first = term["term_months"], term["from_month"]
    length = "a month" if months == 1 else f"{months} months"
    again = f", renewed to month {until}" if until >= first + months else ""
    return f"{length} from month {first}{again},"


def _shares(split: Sequence[Mapping[str, Any]]) -> str:
    """Shares of the bill by token kind, and by tenant or class where there are several."""
    by_kind = _summed(split, lambda row: row["token_kind"])
    by_user = _summed(split, lambda row: row["tenant"] or row["class"])
    parts = [by_kind] if len(by_user) == 1 else [by_kind, by_user]
    return "; ".join(
        ", ".join(
            f"{name} {share}" for name, usd in part.items() if (share := f"{usd / sum(part.values()):.0%}") != "0%"
        )
        for part in parts
        if sum(part.values()) > 0
    )


def _summed(split: Sequence[Mapping[str, Any]], name: Callable[[Mapping[str, Any]], str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in split:
        found[name(row)] = found.get(name(row), 0.0) + row["usd_per_month"]
    return found


def _swings(topologies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, found in topologies.items():
        for swing in found["tornado"][:_SWINGS]:
            low, high = money(swing["usd_per_month_low"]), money(swing["usd_per_month_high"])
            if low != high:
                lines.append(
                    f"{name}: {cost_words(swing['input'])} from {input_value(swing['low'])} to "
                    f"{input_value(swing['high'])} {input_unit(swing['input'])} moves the month from {low} to {high}."
                )
    return lines


def _provenance(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    count, scenario = manifest["replications"], read_document(bundle.scenario_file).data
    return [
        f"servecast {manifest['servecast']}, seed {manifest['seed']}, {count} replication{'s' if count > 1 else ''}",
        f"scenario {manifest['scenario']}, SHA-256 {manifest['scenario_sha256']}",
        *(
            f"{key_words(path, scenario)}{_file(entry['copy'])}: SHA-256 {entry['sha256']}"
            for path, entry in sorted(manifest["files"].items())
        ),
    ]


def _file(copy: str | None) -> str:
    return f" ({Path(copy).name})" if copy else ""
