"""What is agreed in the first month, for all months."""

from __future__ import annotations

from dataclasses import replace

from simulator.study.terms import Span, Terms


def as_in_first_month(terms: Terms) -> Terms:
    """The terms of a study in all of whose months holds what holds in its first."""
    if all(span == Span() for span in terms.spans):
        return terms
    return replace(
        terms,
        owned=tuple(replace(one, span=Span(), later=()) for one in terms.owned if 1 in one.span),
        rented=tuple(replace(one, span=Span(), later=()) for one in terms.rented if 1 in one.span),
        apis=tuple(replace(one, span=Span()) for one in terms.apis if 1 in one.span),
        staff=tuple(replace(one, span=Span()) for one in terms.staff if 1 in one.span),
        fees=tuple(replace(one, span=Span()) for one in terms.fees if 1 in one.span),
        taxes=tuple(replace(one, span=Span()) for one in terms.taxes if 1 in one.span),
    )
