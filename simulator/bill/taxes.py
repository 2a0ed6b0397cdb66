"""Taxes that cannot be deducted: a share of the lines that they are on, and of what is paid for these."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from simulator.bill.category import COMMITTED, HARDWARE, WITH_HARDWARE
from simulator.bill.parts import one_line
from simulator.bill.sums import mean, total_usd
from simulator.study.bill import Kind, Line
from simulator.study.terms import Span, Tax, Terms

TAXED = "USD taxed"
"""Unit of the lines of taxes."""
_PARTS: dict[Kind, str] = {
    "bought": "on what is bought",
    "committed": "on commitments",
    "by_month": "by month",
    "by_use": "by use",
}


def rate(taxes: Iterable[Tax], category: str, month: int) -> float:
    """Share of a category's lines that all taxes of a month come to; commitments of any term are `committed`."""
    return math.fsum(tax.share for tax in taxes if month in tax.span and _is_on(tax, category))


def tax_lines(terms: Terms, lines: Sequence[Line], month: int) -> list[Line]:
    """Taxes of a month on its `lines`: of each one line, in parts by how what it is on is paid."""
    found: list[Line] = []
    for tax in (tax for tax in terms.taxes if month in tax.span):
        for kind, part in _PARTS.items():
            on = [line for line in lines if line.kind == kind and _is_on(tax, line.category)]
            usd = total_usd(on)
            prepaid = math.fsum(mean(line.usd) * line.prepaid_share for line in on)
            found += [
                replace(line, prepaid_share=prepaid / mean(usd) if prepaid else 0.0)
                for line in one_line(terms.topology, tax.name, part, mean(usd), TAXED, usd * tax.share, kind)
            ]
    return found


def with_taxes(lines: Sequence[Line], taxes: Sequence[Tax], month: int) -> list[Line]:
    """The lines each with its taxes, instead of lines of these."""
    return [
        replace(line, usd=line.usd * (1.0 + rate(taxes, line.category, month))) for line in lines if line.unit != TAXED
    ]


def are_constant(taxes: Iterable[Tax]) -> bool:
    """Whether all of them are the same in all months."""
    return all(tax.span == Span() for tax in taxes)


def named(category: str) -> str:
    """By which name a tax means the lines of a category.

    `hardware` has its network, storage and installation; `committed` are commitments of several terms, as `committed 12
    months`.
    """
    if category in WITH_HARDWARE:
        return HARDWARE
    is_of_terms = category.startswith(f"{COMMITTED} ") and category.endswith((" month", " months"))
    return COMMITTED if is_of_terms else category


def _is_on(tax: Tax, category: str) -> bool:
    return not tax.categories or named(category) in tax.categories
