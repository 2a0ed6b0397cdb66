"""Terms that events change: what holds in a month is that of the last change up to it, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.study.terms import OwnedSite, RentedTerms, Span
from tests.bill_cases import PLACE, SERVER, owned, rented

MONTHS = [(1, 0), (12, 0), (13, 1), (14, 1), (24, 1), (25, 2), (36, 2), (600, 2)]


def two_changes() -> tuple[OwnedSite, RentedTerms]:
    """From month 13 and from month 25 on."""
    second = replace(owned(server=replace(SERVER, host_kw=1.5), spares=1), span=Span(13))
    third = replace(owned(server=replace(SERVER, host_kw=2.5), spares=2, off_when_empty=True), span=Span(25))
    third = replace(third, facility=replace(PLACE, usd_per_kw_month=77.0), spare_share=0.25)
    site = owned(("a", "b"), later=(second, third), sold_share=0.5)
    offer = rented(usd=10.0, later=(rented(usd=20.0, span=Span(13)), rented(usd=30.0, span=Span(25))))
    return site, offer


@pytest.mark.parametrize(("month", "changes"), MONTHS)
def test_servers_have_what_the_last_change_makes_of_them(month: int, changes: int) -> None:
    site, _ = two_changes()
    now = site.at(month)
    assert (now.server.host_kw, now.spares) == ((SERVER.host_kw, 0), (1.5, 1), (2.5, 2))[changes]
    assert (now.facility.usd_per_kw_month, now.spare_share, now.off_when_empty) == (
        (77.0, 0.25, True) if changes == 2 else (PLACE.usd_per_kw_month, 0.0, False)
    )
    assert (now.pools, now.span, now.sold_share, now.later) == (("a", "b"), Span(), 0.5, site.later)


@pytest.mark.parametrize(("month", "changes"), MONTHS)
def test_rent_is_that_of_the_last_change(month: int, changes: int) -> None:
    _, offer = two_changes()
    assert offer.at(month).usd_per_instance_hour == ((10.0,), (20.0,), (30.0,))[changes]


@pytest.mark.parametrize("month", [1, 13, 36])
def test_what_no_event_changes_holds_in_all_months(month: int) -> None:
    site, offer = owned(spares=3), rented(usd=10.0)
    assert (site.at(month), offer.at(month)) == (site, offer)


@pytest.mark.parametrize(
    ("span", "months", "ends", "inside"),
    [
        (Span(), 36.0, 36.0, [1, 2, 3, 12, 13, 600]),
        (Span(3, 12), 36.0, 12.0, [3, 12]),
        (Span(3, 12), 7.5, 7.5, [3, 12]),
        (Span(3, 12), 12.0, 12.0, [3, 12]),
        (Span(3), 7.5, 7.5, [3, 12, 13, 600]),
    ],
)
def test_a_span_holds_from_its_first_month_to_the_end_of_its_last(
    span: Span, months: float, ends: float, inside: list[int]
) -> None:
    assert span.ends(months) == ends
    assert [month for month in (1, 2, 3, 12, 13, 600) if month in span] == inside
