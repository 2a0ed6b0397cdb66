"""What a person is asked, with the default of each question and the reason for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from simulator.errors import InputError, Problem, unknown_name
from simulator.schema.base import DataClass
from simulator.schema.engine import Quantization

Busy = Literal["always", "daytime", "working_hours"]
Format = Literal["auto", Quantization]
Group = Literal[
    "What is served", "How much, and when", "Where the data may go", "How fast", "Hardware", "Prices", "How long"
]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, the part of the form that it stands in, and why its default is what it is."""

    group: Group
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to all questions; one of `users`, `rate_rps` and `spend_usd_per_month` says how much is asked."""

    model: Annotated[str, Ask("What is served", "Which model do you serve?", "small, and held by every GPU")] = (
        "llama-3.1-8b"
    )
    quantization: Annotated[
        Format,
        Ask(
            "What is served",
            "In which format are its weights?",
            "as published where that is quantised, else fp8: half the memory and nearly twice the speed",
        ),
    ] = "auto"
    users: Annotated[int | None, Ask("How much, and when", "How many people use it?")] = None
    requests_per_user_per_hour: Annotated[
        float,
        Ask("How much, and when", "How often does one of them ask in a busy hour?", "a question every ten minutes"),
    ] = 6.0
    rate_rps: Annotated[
        float | None, Ask("How much, and when", "Or: how many requests a second come in a busy hour?")
    ] = None
    spend_usd_per_month: Annotated[
        float | None, Ask("How much, and when", "Or: what do you pay for tokens a month today, in USD?")
    ] = None
    trace: Annotated[
        str | None,
        Ask("How much, and when", "Or: which file has the requests that came, a line each (CSV, JSON lines, Parquet)?"),
    ] = None
    column: Annotated[
        str | None,
        Ask(
            "How much, and when",
            "If its columns have other names: which is which (as arrival_s=at, input_tokens=in, output_tokens=out)?",
        ),
    ] = None
    isl: Annotated[
        int, Ask("How much, and when", "How many tokens has a prompt?", "a conversation with a few turns behind it")
    ] = 1500
    osl: Annotated[int, Ask("How much, and when", "How many tokens has an answer?", "some paragraphs")] = 250
    cached_share: Annotated[
        float,
        Ask(
            "How much, and when",
            "What share of the prompts' tokens is the same text each time?",
            "nothing shared but what a conversation has said before",
        ),
    ] = 0.0
    turns: Annotated[
        int,
        Ask(
            "How much, and when",
            "How many requests follow each other in one session, each with all that was said before?",
            "each stands alone; agents send tens",
        ),
    ] = 1
    think_s: Annotated[
        float,
        Ask(
            "How much, and when",
            "How long is it from an answer to the session's next request, in seconds?",
            "a person reads and types; tools of agents take seconds",
        ),
    ] = 30.0
    busy: Annotated[Busy, Ask("How much, and when", "When do they ask?", "people at work; a tenth of it else")] = (
        "working_hours"
    )
    hours: Annotated[
        str | None,
        Ask(
            "How much, and when",
            "Or: which hours have which share of the busiest load (as mon-fri 8-18 1; sat 10-14 0.4; else 0.05)?",
        ),
    ] = None
    batch_per_day: Annotated[
        float | None,
        Ask("How much, and when", "How many further requests a day may wait for hours, as documents?", "none"),
    ] = None
    batch_isl: Annotated[int, Ask("How much, and when", "How many tokens has a prompt of those?", "some pages")] = 3000
    batch_osl: Annotated[int, Ask("How much, and when", "And an answer?", "a summary")] = 300
    batch_hours: Annotated[
        float,
        Ask("How much, and when", "Within how many hours are they to be answered?", "as batches of token APIs are"),
    ] = 24.0
    data_class: Annotated[
        DataClass,
        Ask("Where the data may go", "Of what kind are the data?", "processors under an agreement are allowed"),
    ] = "internal"
    other_share: Annotated[
        float,
        Ask("Where the data may go", "What share of the requests has data of another kind?", "all are of one kind"),
    ] = 0.0
    other_data_class: Annotated[
        DataClass, Ask("Where the data may go", "Of which kind are those?", "they stay on servers of one's own")
    ] = "restricted"
    ttft_s: Annotated[
        float,
        Ask(
            "How fast",
            "How long may the first token take, 95 of 100 times, in seconds?",
            "people wait two seconds",
        ),
    ] = 2.0
    tpot_s: Annotated[
        float,
        Ask(
            "How fast",
            "How long may each further token take, 95 of 100 times, in seconds?",
            "faster than reading",
        ),
    ] = 0.05
    gpu: Annotated[
        str,
        Ask(
            "Hardware",
            "Which GPU? Of one that the catalog lacks its nearest relative, whose kernels stand in.",
            "the one that most sites rent out",
        ),
    ] = "h100-sxm"
    own_gpu: Annotated[str | None, Ask("Hardware", "If the catalog lacks it: what is it called?")] = None
    memory_gib: Annotated[
        float | None, Ask("Hardware", "How much memory has it, as torch sees it, in GiB?", "the relative's")
    ] = None
    bandwidth_gb_per_s: Annotated[
        float | None, Ask("Hardware", "What is its memory's peak bandwidth, in GB/s?", "the relative's")
    ] = None
    bf16_tflops: Annotated[
        float | None, Ask("Hardware", "What is its dense peak in BF16, in TFLOP/s?", "the relative's")
    ] = None
    fp8_tflops: Annotated[
        float | None, Ask("Hardware", "And in FP8, in TFLOP/s?", "the relative's; none if only BF16 is said")
    ] = None
    board_power_w: Annotated[
        float | None, Ask("Hardware", "What does its board draw at most, in W?", "the relative's")
    ] = None
    other_gpus: Annotated[
        str | None, Ask("Hardware", "Which other GPUs shall be compared (as l40s, b200)?", "the one alone")
    ] = None
    owned_gpus: Annotated[
        int, Ask("Hardware", "How many of them do you have already?", "none; the number to buy is searched")
    ] = 0
    site: Annotated[str, Ask("Hardware", "Where would you rent?", "a price without a commitment")] = "lambda"
    offer: Annotated[str | None, Ask("Hardware", "Which token API would you use instead?", "none is compared")] = None
    rent_usd_per_gpu_hour: Annotated[
        float | None, Ask("Prices", "What do you pay to rent a GPU for an hour, in USD?", "the catalog's price")
    ] = None
    server_usd: Annotated[
        float | None,
        Ask("Prices", "What does a server with its GPUs cost, in USD (0: paid for already)?", "the catalog's price"),
    ] = None
    gpus_per_server: Annotated[
        int | None, Ask("Prices", "How many GPUs are in such a server?", "those of the catalog's")
    ] = None
    api_input_usd: Annotated[
        float | None, Ask("Prices", "What does the API take for a million prompt tokens, in USD?", "its list price")
    ] = None
    api_cached_usd: Annotated[
        float | None, Ask("Prices", "And for a million that it has in its cache?", "as much as for others")
    ] = None
    api_output_usd: Annotated[float | None, Ask("Prices", "And for a million output tokens?", "its list price")] = None
    api_ttft_s: Annotated[
        float | None,
        Ask("Prices", "In the median, after how many seconds does it send the first token?", "the offer's"),
    ] = None
    api_tpot_s: Annotated[float | None, Ask("Prices", "And each further token, in seconds?", "the offer's")] = None
    budget_usd_per_month: Annotated[
        float | None,
        Ask("How long", "What may a month cost, in USD? Then it is told what load that buys.", "no limit"),
    ] = None
    growth_per_month: Annotated[float, Ask("How long", "By what share does the load grow each month?", "not known")] = (
        0.0
    )
    months: Annotated[
        float, Ask("How long", "For how many months do you decide?", "as long as a server is written off at least")
    ] = 36
    currency: Annotated[str | None, Ask("How long", "In which currency are amounts shown?", "USD, as prices are")] = (
        None
    )
    usd_per_unit: Annotated[float | None, Ask("How long", "How many USD is one unit of it worth?")] = None
    rate_date: Annotated[str | None, Ask("How long", "Of which day is that rate (as 2026-11-26)?")] = None
    rate_source: Annotated[str | None, Ask("How long", "Where does the rate come from?")] = None
    name: Annotated[str | None, Ask("What is served", "A name for the scenario?")] = None


AMOUNTS = ("users", "rate_rps", "spend_usd_per_month", "trace")
"""Questions of which one is answered."""
TOLD_BY_TRACE = ("isl", "osl", "cached_share", "turns", "think_s", "busy", "hours", "other_share", "other_data_class")
"""Questions that a log of the requests answers."""
RATE = ("usd_per_unit", "rate_date", "rate_source")
"""Questions of a currency other than USD."""
OWN_GPU = ("memory_gib", "bandwidth_gb_per_s", "bf16_tflops", "fp8_tflops", "board_power_w")
"""Questions of a GPU that the catalog lacks."""
OWN_PRICES = ("api_input_usd", "api_output_usd")
"""Prices of a token API of one's own; neither without the other."""
OWN_SPEED = ("api_ttft_s", "api_tpot_s")
"""Of a token API that is no offer of the catalog."""
OF_BATCH = ("batch_isl", "batch_osl", "batch_hours")
"""Of requests that may wait for hours beside the others."""
BATCH = "batch"
"""Name of their class."""
_FOLLOWS: dict[str, tuple[str, ...]] = {
    "currency": RATE,
    "own_gpu": OWN_GPU,
    "server_usd": ("gpus_per_server",),
    "api_input_usd": ("api_output_usd", "api_cached_usd", *OWN_SPEED),
    "other_share": ("other_data_class",),
    "users": ("requests_per_user_per_hour",),
    "trace": ("column",),
    "batch_per_day": OF_BATCH,
}
"""Questions that make sense only once another is answered."""
_LEADS = {name: lead for lead, names in _FOLLOWS.items() for name in names}


def is_asked(name: str, given: Mapping[str, Any]) -> bool:
    """Whether a question is one beside the answers that are given so far (None: not answered).

    One amount is asked for; only people ask so often an hour, only another currency than USD has a rate.
    """
    if name in AMOUNTS:
        return all(given.get(other) is None for other in AMOUNTS if other != name)
    if name in TOLD_BY_TRACE and given.get("trace") is not None:
        return False
    if name in ("busy", "hours"):
        return given.get("hours" if name == "busy" else "busy") is None
    if name == "think_s":
        return bool(given.get("turns", 1) != 1)
    if name in OWN_SPEED and given.get("offer") is not None:
        return False
    lead = _LEADS.get(name)
    if lead in (None, "other_share"):
        return lead is None or bool(given.get(lead))
    return given.get(lead) is not None


def plain_name(text: str) -> str:
    """A name as the schema takes it, of what somebody calls a scenario or its file; empty where nothing is left."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:100]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: the answer's name, its part of the form, the text, the default, why it is that, the answer's type."""

    name: str
    group: Group
    text: str
    default: Any
    why: str
    hint: Any

    @property
    def choices(self) -> tuple[str, ...]:
        """The answers, where there are few."""
        return get_args(self.hint) if get_origin(self.hint) is Literal else ()

    @property
    def kind(self) -> type:
        """Numbers, whole ones, or text."""
        return next((kind for kind in (int, float) if kind in (self.hint, *get_args(self.hint))), str)

    @property
    def shown_default(self) -> str:
        """The default with its reason."""
        if self.default is None:
            return self.why or "not said"
        return f"{self.default}: {self.why}" if self.why else str(self.default)

    def parse(self, text: str) -> Any:
        """The answer that a text means.

        Raises
        ------
        InputError : it is no number where one is asked for, or none of the choices
        """
        if self.choices and text not in self.choices:
            raise InputError(Problem(unknown_name("answer", text, self.choices), path=self.name))
        try:
            return self.kind(text)
        except ValueError as error:
            kind = "whole number" if self.kind is int else "number"
            raise InputError(Problem(f"must be a {kind}", path=self.name, got=text)) from error


@cache
def questions() -> tuple[Asked, ...]:
    """All questions in the order in which they are asked."""
    hints = get_type_hints(Answers, include_extras=True)
    found = [(each, *get_args(hints[each.name])) for each in fields(Answers)]
    return tuple(Asked(each.name, ask.group, ask.text, each.default, ask.why, hint) for each, hint, ask in found)
