"""What is agreed in one month, for all months."""

from __future__ import annotations

from dataclasses import replace

from simulator.study.terms import Span, Terms


def as_in_month(terms: Terms, month: int = 1) -> Terms:
    """The terms of a study in all of whose months holds what holds in this one."""
    if all(span == Span() for span in terms.spans):
        return terms
    staff = terms.staff
    return replace(
        terms,
        owned=tuple(replace(one, span=Span()) for one in terms.owned if month in one.span),
        rented=tuple(replace(one, span=Span()) for one in terms.rented if month in one.span),
        apis=tuple(replace(one, span=Span()) for one in terms.apis if month in one.span),
        staff=replace(staff, span=Span()) if staff is not None and month in staff.span else None,
        fees=tuple(fee for fee in terms.fees if fee.after_months < month),
    )
