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

    For example:

        servecast catalog gpus
        servecast catalog models qwen3-32b
        servecast catalog --stale 1y

    Parameters
    ----------
    kind
        Gpus, models, servers, sites, grids, gpu_offers, token_offers, precisions or costs.
    name
        One entry.
    stale
        List the figures that are older than this age instead, as 90d, 12m or 1y, and those without a date.
    today
        The day from which their age is counted; today unless given.
    format
        Table for people, json for programs.
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
        names = list(rows[0])
        print_table([[_cell(name, row[name]) for name in names] for row in rows], [_heading(name) for name in names])
    else:
        print("nothing is older" if stale else "nothing")
    return 0


READ_AS = {"_bytes": ("_gib", 2**30), "_bytes_per_s": ("_gb_per_s", 10**9), "_flops": ("_tflops", 10**12)}
"""Units that people read, by the end of a column's name."""


def _heading(name: str) -> str:
    ending = _ending(name)
    return name.removesuffix(ending) + READ_AS[ending][0] if ending else name


def _ending(name: str) -> str:
    return next((ending for ending in READ_AS if name.endswith(ending)), "")


def _cell(name: str, value: object) -> str:
    """Numbers without trailing zeros, in units that people read; nothing for what is missing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    ending = _ending(name)
    return f"{value / READ_AS[ending][1]:.4g}" if ending else f"{value:.12g}"
