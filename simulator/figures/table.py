"""Every figure that is shown, once: tables, charts, memo and dashboard take words, units and digits from here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.money import amount, converted, in_sign, places
from simulator.units import span_words

AMOUNT = "amount"
"""Digits of money, as `simulator.money.amount` writes them."""
THREE = "three"
"""Digits of what is told per million tokens: three decimals, and of less than a tenth the first three above 0."""
SPAN = "span"
"""A length of time, in the largest unit that it has one of."""
NONE = "-"
"""Shown where a figure has no value."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes
    ----------
    id : key in results
    named, counted : its name, and its unit where it has one, with `$` for the currency that is shown; a share shows
        its own per cent sign
    digits : format of the value times `factor`, or that of amounts of money
    meaning : one sentence
    owner : the module that computes it
    without : when it has no value; empty if always
    """

    id: str
    named: str
    counted: str
    digits: str
    meaning: str
    owner: str
    without: str = ""
    factor: float = 1.0

    @property
    def words(self) -> str:
        """Its name."""
        return in_sign(self.named)

    @property
    def unit(self) -> str:
        """Its unit, or nothing."""
        return in_sign(self.counted)

    @property
    def is_money(self) -> bool:
        """Whether it is an amount of USD, or one per something."""
        return "$" in self.named + self.counted

    @property
    def label(self) -> str:
        """Words with the unit."""
        return f"{self.words} [{self.unit}]" if self.unit else self.words

    def text(self, value: float | None) -> str:
        """The value in digits, without the unit."""
        if value is None or not math.isfinite(value):
            return NONE
        if self.digits == AMOUNT:
            return amount(value)
        if self.digits == SPAN:
            return span_words(value)
        shown = (converted(value) if self.is_money else value) * self.factor
        return format(shown, f",.{max(3, places(shown))}f" if self.digits == THREE else self.digits)

    def span(self, low: float | None, high: float | None) -> str:
        """An interval in digits."""
        ends = self.text(low), self.text(high)
        return NONE if NONE in ends else " to ".join(ends)


_MS = 1e3
_ANSWERED = "no request was completed"
_MEASURED = "no request came in the window"


def _latency(metric: str, words: str, digits: str, meaning: str) -> list[Figure]:
    return [
        Figure(
            f"{metric}_{share}_s",
            f"{words} {share}",
            "ms",
            digits,
            f"{share[1:]} % of the completed requests, batches beside others apart, have {meaning} up to this, ± 0.4 %",
            "metrics/sketch.py",
            _ANSWERED,
            _MS,
        )
        for share in ("p50", "p90", "p95", "p99")
    ]


def _rate(name: str, words: str, of: str, meaning: str) -> Figure:
    digits = ",.2f" if of == "requests" else ",.0f"
    return Figure(name, words, f"{of}/s", digits, f"{meaning} / its length", "metrics/rates.py")


def _price(name: str, per: str, of: str, without: str) -> Figure:
    return Figure(name, f"$ per {per}", "", THREE, f"the month's bill / {of}", "bill/unit.py", without)


_ALL = (
    Figure(
        "slo_met",
        "SLO met",
        "",
        "",
        "every term of every class is met, and no queue grows from window to window",
        "metrics/slo.py",
        "none is missed and a class has no measured request (not known)",
    ),
    Figure(
        "slo_term",
        "SLO term",
        "",
        "",
        "the percentile that the term speaks of, over all arrived requests of the class, a lost one being beyond any "
        "limit; for `served` the served share, for `begun as they come` (shown where the queue grows) the share begun",
        "metrics/slo.py",
        _MEASURED,
    ),
    Figure(
        "binding_term",
        "binding term",
        "misses used",
        "",
        "the term that fails by most, or else has used most of the misses that it allows; beyond the double, how many "
        "times these",
        "metrics/slo.py",
        _MEASURED,
    ),
    Figure(
        "slo_attainment",
        "SLO attainment",
        "",
        ".2%",
        "arrived requests that keep every limit of their class / arrived requests; one not completed keeps none",
        "metrics/tally.py",
        _MEASURED,
    ),
    Figure(
        "served_share",
        "served",
        "",
        ".2%",
        "completed requests / (arrived ones and turns that a broken session no longer sent)",
        "metrics/slo.py",
        _MEASURED,
    ),
    Figure(
        "turns_served",
        "turns served",
        "",
        ",.0f",
        "completed requests of all replications; a slow fleet gets fewer turns of sessions and of waiting users",
        "metrics/tally.py",
    ),
    *_latency("ttft", "TTFT", ",.0f", "a first token"),
    *_latency("tpot", "TPOT", ",.1f", "a time per output token"),
    *_latency("e2e", "E2E", ",.0f", "a time to the last token"),
    Figure(
        "offered_rps",
        "offered",
        "requests/s",
        ",.2f",
        "requests that arrived in the window / its length",
        "metrics/tally.py",
        "the workload is a finite job, all of which comes at once",
    ),
    _rate(
        "goodput_rps",
        "goodput",
        "requests",
        "requests that were completed in the window within every limit of their class",
    ),
    _rate("throughput_rps", "throughput", "requests", "requests that were completed in the window"),
    _rate("input_tokens_per_s", "input", "tokens", "prompt tokens of answers that ended in the window"),
    _rate("output_tokens_per_s", "output", "tokens", "output tokens that were delivered in the window"),
    Figure(
        "time_in_steps",
        "time in steps",
        "",
        ".0%",
        "GPU-seconds in which a step ran / GPU-seconds of ready replicas; hardly moves with load, as a step runs "
        "whenever anybody is there",
        "metrics/rates.py",
        "no GPU was ready",
    ),
    Figure(
        "capacity_used_share",
        "share of capacity used",
        "",
        ".0%",
        "load / the largest load, of all classes alike, at which this fleet meets the SLO; shown as the span that the "
        "loads tried leave open",
        "decide/capacity.py",
        "no further loads were tried",
    ),
    Figure(
        "unused_share",
        "share paid but unused",
        "",
        ".0%",
        "lines that pay for what is idle, spare, unused, starting or down / all lines, credits apart",
        "bill/unused.py",
        "the bill is 0",
    ),
    Figure(
        "expected_error",
        "expected error TTFT, TPOT",
        "",
        ".0%",
        "median error of forecasts of published measurements that took no part in the fit, as fitted on the day that "
        "its basis names",
        "run/trust.py",
        "no engine is simulated, or none like it was measured",
    ),
    Figure(
        "replicas",
        "replicas",
        "",
        "",
        "ready replicas of all pools, fewest to most",
        "run/summary.py",
        "there is no pool",
    ),
    Figure(
        "availability",
        "token API up",
        "",
        ".2%",
        "share of the time in which the token API that was down most was up",
        "run/summary.py",
        "none had an outage",
    ),
    Figure(
        "cached_share",
        "cached share",
        "",
        ".1%",
        "prompt tokens found in the prefix cache, of an engine or a token API / prompt tokens, of completed requests",
        "metrics/tally.py",
        "no prompt was found in a cache",
    ),
    Figure(
        "overflow_share",
        "overflow",
        "",
        ".1%",
        "requests that were served by another target than their first choice / arrived requests",
        "metrics/tally.py",
    ),
    Figure(
        "escalated_share",
        "escalated",
        "",
        ".1%",
        "requests that a cascade's check sent on / arrived requests",
        "metrics/tally.py",
        "there is no cascade",
    ),
    Figure("usd_per_month", "$ per month", "", AMOUNT, "sum of the lines of the bill of a month of 730 hours", "bill/"),
    Figure(
        "saved_by_prefix_caching",
        "saved by prefix caching",
        "$ per month",
        AMOUNT,
        "what the same topology would cost more without it: cached tokens at the price of input, machines by the GPU "
        "time of computing them; not a part of the bill",
        "bill/savings.py",
        "no prompt was found in a cache",
    ),
    Figure(
        "saved_by_batching",
        "saved by batching",
        "$ per month",
        AMOUNT,
        "what the same tokens would cost more one request at a time: machines by the GPU time of steps that serve one "
        "request each; not a part of the bill",
        "bill/savings.py",
        "no engine of one's own serves, or requests share no step",
    ),
    Figure(
        "saved_by_quantisation",
        "saved by quantisation",
        "$ per month",
        AMOUNT,
        "what the same steps would cost more with weights and KV cache in 16 bit: machines by the GPU time of the step "
        "model; not a part of the bill",
        "bill/savings.py",
        "nothing is quantised, or step times are measured or given",
    ),
    _price(
        "usd_per_million_processed_tokens",
        "1M tokens, all",
        "prompt and output tokens that targets processed, with thrown-away answers and failed calls",
        "no token was processed",
    ),
    _price(
        "usd_per_million_output_tokens",
        "1M tokens, output",
        "output tokens delivered",
        "no output token was delivered",
    ),
    _price(
        "usd_per_million_tokens",
        "1M tokens, delivered",
        "prompt and output tokens of what was delivered",
        "nothing was delivered",
    ),
    _price(
        "usd_per_thousand_requests",
        "1,000 requests",
        "thousands of requests that were answered; each turn of a conversation is one",
        "no request was answered",
    ),
    Figure(
        "kwh_per_million_tokens",
        "energy",
        "kWh per 1M tokens",
        THREE,
        "energy at the meter of GPUs, and of hosts and GPUs without a replica where servers are owned / prompt and "
        "output tokens delivered",
        "bill/energy.py",
        "nothing was delivered, or token APIs alone serve",
    ),
    Figure(
        "co2_kg_per_million_tokens",
        "carbon",
        "kg CO2 per 1M tokens",
        THREE,
        "energy of each hour times the grid's carbon intensity in it / prompt and output tokens delivered",
        "bill/energy.py",
        "a grid's carbon intensity is not known, or there is no energy",
    ),
    Figure(
        "owed_usd",
        "owed after the study",
        "$",
        AMOUNT,
        "what commitments still cost when the study ends; the bill has it as a part of its own",
        "bill/study.py",
        "nothing is owed",
    ),
    Figure(
        "usd_per_job",
        "$ per job",
        "",
        AMOUNT,
        "$ per month / jobs in a month; owned servers for their share of the time",
        "run/cost_summary.py",
        "the workload is no finite job",
    ),
    Figure(
        "job_s",
        "time of the job",
        "",
        SPAN,
        "from the launch of rented machines, cold start included, to the last answer; mean over the replications",
        "fleet/simulate.py",
        "the workload is no finite job",
    ),
    Figure("capex_usd", "capex", "$", AMOUNT, "paid for hardware at the start", "bill/cash.py"),
    Figure(
        "probability_cheapest",
        "cheapest",
        "",
        ".0%",
        "share of the draws in which no other topology that meets the SLO costs less; equal bills both count",
        "decide/rivals.py",
        "it misses the SLO, or there are no draws",
    ),
)
FIGURES: dict[str, Figure] = {figure.id: figure for figure in _ALL}
"""By id, in the order in which they are shown."""


def figure(name: str) -> Figure:
    """The figure of this id."""
    return FIGURES[name]


def met_words(met: bool | None) -> str:
    """Whether the SLO is met, in words; None where a class has no request to tell by."""
    return "not known" if met is None else "yes" if met else "no"


def lasts_words(month: int | None) -> str:
    """The last month before the first that misses the SLO, in words; 0 where that is the first, None without one."""
    return "the end" if month is None else f"month {month}" if month else "fails in month 1"
