"""`servecast catalog`: what the catalog knows, with sources."""

from __future__ import annotations

from typing import Literal


def catalog(kind: str | None = None, name: str | None = None, /, *, format: Literal["table", "json"] = "table") -> int:
    """List the kinds of the catalog, the entries of one kind, or the figures of one entry with their sources.

    Parameters
    ----------
    kind: gpus, models, sites, gpu_offers, token_offers, precisions or costs
    name: one entry
    format: table for people, json for programs
    """
    from simulator.catalog.listing import KINDS, listing, names, provenance
    from simulator.cli.output import print_json, print_table

    if kind is None:
        rows = [{"kind": each, "entries": len(listing(each))} for each in KINDS]
    else:
        names(kind)
        rows = provenance(kind, name) if name else listing(kind)
    if format == "json":
        print_json(rows)
    elif rows:
        print_table([["" if cell is None else str(cell) for cell in row.values()] for row in rows], list(rows[0]))
    return 0
