"""`servecast catalog`: what the catalog knows, with sources."""

from __future__ import annotations

from datetime import date
from typing import Literal


def catalog(
    kind: str | None = None,
    name: str | None = None,
    /,
    *,
    stale: str | None = None,
    today: date | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """List the kinds of the catalog, the entries of one kind, or the figures of one entry with their sources.

    Parameters
    ----------
    kind: gpus, models, servers, sites, grids, gpu_offers, token_offers, precisions or costs
    name: one entry
    stale: list the figures that are older than this age instead, as 90d, 12m or 1y, and those without a date
    today: the day from which their age is counted; today unless given
    format: table for people, json for programs
    """
    from simulator.catalog.freshness import age_days
    from simulator.catalog.listing import KINDS, listing, provenance
    from simulator.catalog.listing import stale as stale_figures
    from simulator.cli.output import print_json, print_table

    if stale is not None:
        rows = stale_figures(age_days(stale), today or date.today(), kind)
    elif kind is None:
        rows = [{"kind": each, "entries": len(listing(each))} for each in KINDS]
    else:
        rows = provenance(kind, name) if name else listing(kind)
    if format == "json":
        print_json(rows)
    elif rows:
        print_table([[_cell(value) for value in row.values()] for row in rows], list(rows[0]))
    else:
        print("nothing is older" if stale else "nothing")
    return 0


def _cell(value: object) -> str:
    """Numbers without trailing zeros, nothing for what is missing."""
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)
