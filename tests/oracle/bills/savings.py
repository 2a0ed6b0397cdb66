"""What a month would cost more without prompt caches, one request at a time, or in 16 bit."""

from __future__ import annotations

import math

from bills.api import billed_tokens, volume_factor
from bills.clock import dearness
from bills.credits import credited
from bills.months import Months, at, holds, pool_of, scale
from bills.rows import Row
from bills.study import Study

WAYS = ("prefix_caching", "batching", "quantisation")
Table = list[float]


def saved(study: Study, engines: dict[str, Row]) -> dict[str, dict[str, float]]:
    """USD of the mean month by way and owner."""
    found: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for month, length in enumerate(study.months.lengths):
        lines = study.lines(month)
        for way in WAYS:
            usd = _machines(study, month, lines, engines, way)
            if way == "prefix_caching":
                usd += [(api["provider"], _spared(study.months, api, month, lines)) for api in study.terms["apis"]]
            for owner, value in usd:
                found[way][owner] = found[way].get(owner, 0.0) + value * length / study.terms["months"]
    return {way: {owner: usd for owner, usd in one.items() if usd} for way, one in found.items()}


def _machines(study: Study, month: int, lines: list[Row], engines: dict[str, Row], way: str) -> list[tuple[str, float]]:
    found = []
    for rented in (one for one in study.rented if holds(one.offer, month)):
        name = rented.offer["pool"]
        more_usd = _paid(lines, name) * _share(study.months, month, name, engines[name], way)
        now = rented.now(month)
        kept = 1 - credited(study.months, name, now, month)
        found.append((name, above_agreed(now, name, lines, more_usd) * kept))
    for owned in (one for one in study.owned if holds(one.site, month)):
        busy = {name: study.months.gpu_hours(month, [name])["busy"] for name in owned.site["pools"]}
        more = sum(hours * _share(study.months, month, name, engines[name], way) for name, hours in busy.items())
        whole = sum(busy.values())
        found.append((owned.owner, _paid(lines, owned.owner) * more / whole if whole else 0.0))
    return found


def _paid(lines: list[Row], owner: str) -> float:
    """For machines: all but traffic, volumes and what a spend lacks."""
    beside = ("egress", "storage", "minimum spend", "service credit")
    return math.fsum(line["usd"] for line in lines if line["owner"] == owner and line["category"] not in beside)


def _share(months: Months, month: int, name: str, engine: Row, way: str) -> float:
    """GPU time that the work of a month would take more, as a share of what it takes."""
    work: list[list[float]] = []
    steps = 0.0
    for period, usage in months.periods(month):
        pool, w = pool_of(usage, name), scale(period, usage)
        rows = pool["work"]
        every = pool["input_tokens"] - pool["cached_tokens"] + pool["output_tokens"]
        steps += w * pool["steps"] * min(1.0, sum(row[1] + row[3] for row in rows) / every)
        scaled = [[w * value for value in row] for row in rows]
        both = zip(work or [[0.0] * 6 for _ in rows], scaled, strict=True)
        work = [[a + b for a, b in zip(*pair, strict=True)] for pair in both]
    done = sum(
        engine["prompt_token_s"] * row[1]
        + engine["answer_token_s"] * max(row[3] - (row[0] if row[1] else 0), 0)
        + engine["pair_s"] * row[5]
        + engine["kv_token_s"] * row[4]
        for row in work
    )
    if way == "quantisation":
        if engine["plain"] is None:
            return 0.0
        return _two_kinds(work, steps, engine["plain"], engine) / _two_kinds(work, steps, engine["steps"], engine) - 1
    more = 0.0
    for row in work:
        more += _uncached(row, engine["steps"]) if way == "prefix_caching" else _alone(row, engine)
    if way == "batching":
        return max(more / done - 1, 0.0) if engine["batches"] else 0.0
    return more / done


def _uncached(row: list[float], steps: Row) -> float:
    requests, _, cached = row[:3]
    budget = len(steps["token_time_s"][-1]) - 1
    each = cached / requests
    full_s = max(steps["token_time_s"][-1][budget], _launches(steps, budget, prompts=True))
    return cached * full_s / budget + steps["prefill_attn_s"] * requests * each * (each + 1) / 2


def _alone(row: list[float], engine: Row) -> float:
    requests, fresh, _, output, context, pairs = row
    steps = engine["steps"]
    budget = len(steps["token_time_s"][0]) - 1
    prompt, seconds = fresh / requests, 0.0
    while prompt > 0:
        seconds += _step(steps, 1, min(prompt, budget), prompts=True)
        prompt -= budget
    answers = max(output - requests, 0) / engine["tokens_per_step"]
    attention = steps["prefill_attn_s"] * pairs + steps["decode_attn_s"] * context / engine["tokens_per_step"]
    return requests * seconds + answers * _step(steps, 1, 1 + engine["drafts"]) + attention


def _two_kinds(work: list[list[float]], count: float, steps: Row, engine: Row) -> float:
    requests, fresh, _, output, context, pairs = (sum(column) for column in zip(*work, strict=True))
    budget = len(steps["token_time_s"][0]) - 1
    prompts = min(count, max(requests, fresh / budget)) if fresh else 0.0
    decoding = max(0.0, output - (requests if fresh else 0.0)) / engine["tokens_per_step"] / count
    tokens = decoding * (1 + engine["drafts"])
    seconds = (count - prompts) * _step(steps, decoding, tokens)
    if prompts:
        seconds += prompts * _step(steps, decoding + requests / prompts, tokens + fresh / prompts, prompts=True)
    return seconds + steps["prefill_attn_s"] * pairs + steps["decode_attn_s"] * context / engine["tokens_per_step"]


def _step(steps: Row, sequences: float, tokens: float, prompts: bool = False) -> float:
    n, computed = max(1.0, sequences), max(1.0, tokens)
    rows = steps["token_time_s"]
    own = _between(rows[min(len(rows), round(n)) - 1], computed)
    return max(own, _launches(steps, computed, prompts)) + _between(steps["seq_time_s"], n)


def _launches(steps: Row, tokens: float, prompts: bool) -> float:
    pieces_s, eager_s, captured = steps["launches"]
    if tokens > captured:
        return float(eager_s)
    return float(pieces_s) if prompts else 0.0


def _between(table: Table, place: float) -> float:
    low = min(int(place), len(table) - 1)
    high = min(low + 1, len(table) - 1)
    return table[low] + (table[high] - table[low]) * (place - low if high > low else 0.0)


def _spared(months: Months, api: Row, month: int, lines: list[Row]) -> float:
    """Without the cache the provider's bill is dearer, yet never below the spend that is agreed."""
    more = _calls(months, api, month)
    if not more:
        return more
    return above_agreed(api, api["provider"], lines, more) * (1 - credited(months, api["provider"], api, month))


def above_agreed(agreed: Row, owner: str, lines: list[Row], more: float) -> float:
    """What a bill rises by where a spend is agreed."""
    least = agreed.get("minimum_usd_per_month", 0.0)
    if not least or not more:
        return more
    bill = math.fsum(
        line["usd"]
        for line in lines
        if line["owner"] == owner
        and line["category"] not in ("minimum spend", "service credit")
        and line["part"] != "after the study"
    )
    return float(max(least, bill + more) - max(least, bill))


def _calls(months: Months, api: Row, month: int) -> float:
    """Cached tokens and cache writes at the price of input, less what they cost."""
    if not holds(api, month):
        return 0.0
    lists = {"": api["prices"]} | {tier["name"]: tier["prices"] for tier in api["tiers"]}
    usd = 0.0
    for period, usage in months.periods(month):
        provider = next(one for one in usage["providers"] if one["name"] == api["provider"])
        hours = [(1.0, provider["tokens"])]
        if api["factor_by_hour"]:
            hours = [(dearness(api, usage, hour), table) for hour, table in enumerate(provider["tokens_by_hour"])]
        for rate, table in hours:
            for name, bands in zip(api["tier_by_class"], table, strict=True):
                for prices, (_, cached, written, _) in zip(lists[name], bands, strict=True):
                    cheaper = prices["input"] - prices["cached_input"], prices["input"] - prices["cache_write"]
                    usd += scale(period, usage) * rate * (cached * cheaper[0] + written * cheaper[1]) / 1e6
    usd *= volume_factor(api, billed_tokens(months, api, month))
    return usd * (1 + api["residency_premium"]) * at(months.terms["token_index"], month + 1)
