"""Amounts of money in words: everything is computed in USD, and shown in the currency that a scenario states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_DOLLAR = "$"


@dataclass(frozen=True, slots=True)
class Currency:
    """What amounts are shown in; of USD nothing is converted.

    Attributes
    ----------
    code : of ISO 4217
    usd_per_unit : the rate
    date, source : of the rate
    """

    code: str = "USD"
    usd_per_unit: float = 1.0
    date: str = ""
    source: str = ""


USD = Currency()
_SHOWN: ContextVar[Currency] = ContextVar("currency", default=USD)


@contextmanager
def shown_in(currency: Currency | Mapping[str, Any] | None) -> Iterator[None]:
    """Within it all amounts are shown in this currency.

    Parameters
    ----------
    currency : as a scenario or the summary of a run states it; None for USD
    """
    token = _SHOWN.set(Currency(**currency) if isinstance(currency, Mapping) else currency or USD)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def shown_currency() -> Currency:
    """The currency that amounts are shown in here."""
    return _SHOWN.get()


def converted(usd: float) -> float:
    """An amount of USD in the currency that is shown."""
    return usd / _SHOWN.get().usd_per_unit


def sign() -> str:
    """What stands for the currency in names of figures: its code, and for USD the sign of dollars."""
    code = _SHOWN.get().code
    return _DOLLAR if code == USD.code else code


def input_sign() -> str:
    """The same for prices that go in, which are in USD whatever is shown."""
    return _DOLLAR if sign() == _DOLLAR else USD.code


def in_sign(text: str) -> str:
    """A name that speaks of `$`, in the currency that is shown."""
    return text.replace(_DOLLAR, sign())


def column(name: str) -> str:
    """Name of a column of converted amounts: its unit is that of the currency, as `usd_per_month` is of USD."""
    return name.replace("usd", _SHOWN.get().code.lower())


def places(value: float) -> int:
    """Decimal places that an amount is shown with, zeros at its end included."""
    size = abs(value)
    if size >= 100 or size == 0 or not math.isfinite(size):
        return 0
    return 2 if size >= 1 else 2 - math.floor(math.log10(size))


def amount(usd: float) -> str:
    """An amount in digits: whole units, to the cent below 100, to three digits below 1, no zeros after the cents."""
    return digits(converted(usd))


def digits(value: float) -> str:
    """An amount of the currency that is shown, as `amount` has it."""
    text = f"{value + 0.0:,.{places(value)}f}"
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}" if rest else whole


def money(usd: float) -> str:
    """An amount in words."""
    return with_sign(amount(usd))


def rounded(usd: float) -> float:
    """An amount in the currency that is shown, rounded as it is shown."""
    value = converted(usd)
    return round(value, places(value)) if math.isfinite(value) else value


def apart(usd: float, other_usd: float) -> float:
    """An amount less another, in the currency that is shown, as who subtracts them as they are shown finds it.

    The rule for all differences that stand beside their amounts: $58,018 is $11,415 more than $46,603, though it may be
    $58,017.60 and $46,603.40.
    """
    return round(rounded(usd) - rounded(other_usd), 12)


def difference(usd: float, other_usd: float) -> str:
    """What `apart` gives in words, without its sign: no finer than the coarser of both amounts is shown.

    $132 is $7 more than $125, not $7.00: it may be $6.60.
    """
    value = abs(apart(usd, other_usd))
    finest = min(places(converted(usd)), places(converted(other_usd)))
    return with_sign(f"{value:,.0f}" if finest == 0 else digits(value))


def with_sign(text: str) -> str:
    """Digits of an amount with its currency."""
    found = sign()
    return f"{found}{text}" if found == _DOLLAR else f"{found} {text}"


def rate_words() -> str:
    """What amounts are converted at; empty for USD."""
    shown = _SHOWN.get()
    if shown.code == USD.code:
        return ""
    rate = f"at {shown.usd_per_unit:.6g} USD per {shown.code} of {shown.date} ({shown.source})"
    return f"Amounts in {shown.code} {rate}; prices that go in are told in USD."
