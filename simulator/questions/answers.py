"""What a person is asked, with the default of each question and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from simulator.errors import InputError, unknown_name
from simulator.schema.base import DataClass
from simulator.schema.engine import Quantization

Busy = Literal["always", "daytime", "working_hours"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and why its default is what it is."""

    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to all questions; one of `users`, `rate_rps` and `spend_usd_per_month` says how much is asked."""

    model: Annotated[str, Ask("Which model do you serve?")] = "llama-3.1-8b"
    quantization: Annotated[
        Quantization, Ask("In which format are its weights?", "half the memory and nearly twice the speed")
    ] = "fp8"
    users: Annotated[int | None, Ask("How many people use it?")] = None
    requests_per_user_per_hour: Annotated[
        float, Ask("How often does one of them ask in a busy hour?", "a question every ten minutes")
    ] = 6.0
    rate_rps: Annotated[float | None, Ask("Or: how many requests a second come in a busy hour?")] = None
    spend_usd_per_month: Annotated[float | None, Ask("Or: what do you pay for tokens a month today, in USD?")] = None
    isl: Annotated[int, Ask("How many tokens has a prompt?", "a conversation with a few turns behind it")] = 1500
    osl: Annotated[int, Ask("How many tokens has an answer?", "some paragraphs")] = 250
    cached_share: Annotated[
        float, Ask("What share of the prompts' tokens is the same text each time?", "nothing shared")
    ] = 0.0
    busy: Annotated[Busy, Ask("When do they ask?", "people at work; a tenth of the load comes else")] = "working_hours"
    data_class: Annotated[DataClass, Ask("Where may the data go?", "processors under an agreement are allowed")] = (
        "internal"
    )
    ttft_s: Annotated[
        float, Ask("How long may the first token take, 95 of 100 times, in seconds?", "people wait two seconds")
    ] = 2.0
    tpot_s: Annotated[
        float, Ask("How long may each further token take, 95 of 100 times, in seconds?", "faster than reading")
    ] = 0.05
    gpu: Annotated[str, Ask("Which GPU?", "the one that most sites rent out")] = "h100-sxm"
    owned_gpus: Annotated[int, Ask("How many of them do you have already?", "none; the number to buy is searched")] = 0
    site: Annotated[str, Ask("Where would you rent?", "a price without a commitment")] = "lambda"
    offer: Annotated[str | None, Ask("Which token API would you use instead?")] = None
    growth_per_month: Annotated[float, Ask("By what share does the load grow each month?", "not known")] = 0.0
    months: Annotated[
        float, Ask("For how many months do you decide?", "as long as a server is written off at least")
    ] = 36
    currency: Annotated[str | None, Ask("In which currency are amounts shown, if not in USD (as EUR)?")] = None
    usd_per_unit: Annotated[float | None, Ask("How many USD is one unit of it worth?")] = None
    rate_date: Annotated[str | None, Ask("Of which day is that rate (as 2026-11-26)?")] = None
    rate_source: Annotated[str | None, Ask("Where does the rate come from?")] = None


AMOUNTS = ("users", "rate_rps", "spend_usd_per_month")
"""Questions of which one is answered."""
RATE = ("usd_per_unit", "rate_date", "rate_source")
"""Questions of a currency other than USD."""


def is_asked(name: str, amount: str | None, currency: str | None = None) -> bool:
    """Whether a question is one once `amount` of `AMOUNTS` is answered (None: not yet), and a currency or none is.

    Only people ask so often an hour, only another currency than USD has a rate.
    """
    if name in RATE:
        return currency is not None
    if name in AMOUNTS:
        return amount in (None, name)
    return name != "requests_per_user_per_hour" or amount == "users"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: the answer's name, the text, the default, why it is that, and the type of the answer."""

    name: str
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
            return "not said"
        return f"{self.default}: {self.why}" if self.why else str(self.default)

    def parse(self, text: str) -> Any:
        """The answer that a text means.

        Raises
        ------
        InputError : it is no number where one is asked for, or none of the choices
        """
        if self.choices and text not in self.choices:
            raise InputError(f"{self.name}: {unknown_name('answer', text, self.choices)}")
        try:
            return self.kind(text)
        except ValueError as error:
            kind = "whole number" if self.kind is int else "number"
            raise InputError(f"{self.name}: must be a {kind} (got {text})") from error


@cache
def questions() -> tuple[Asked, ...]:
    """All questions in the order in which they are asked."""
    hints = get_type_hints(Answers, include_extras=True)
    found = [(each, *get_args(hints[each.name])) for each in fields(Answers)]
    return tuple(Asked(each.name, ask.text, each.default, ask.why, hint) for each, hint, ask in found)
