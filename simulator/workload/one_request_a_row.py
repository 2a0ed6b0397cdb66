"""Rows that are no request of their own: counts of several, runs around others, and rows that were written twice."""

from __future__ import annotations

import numpy as np

from simulator.errors import Problem
from simulator.workload.columns import column, leaves, plain
from simulator.workload.tables import Table, as_numbers, problems_at

_NUMBERS = (
    *("nummodelrequests", "numrequests", "nrequests", "numberofrequests", "requestcount", "requestscount"),
    *("requests", "totalrequests", "requeststotal", "apirequests", "successfulrequests", "invocations"),
)
"""What reports of usage call how many requests a row counts, in small letters and figures alone."""
_REQUESTS = ("requestid", "generationid", "completionid", "responseid", "spanid", "rid")
"""What logs call the name that a request has alone."""
_OWN = ("spanid", "runid", "id")
_ENCLOSING = ("parentspanid", "parentrunid", "parentobservationid")
_OF_SPANS = "parentid"
"""Columns of spans' names and of those that they are part of; `parent_id` beside `id` may be a message's before."""


def of_several(table: Table) -> list[Problem]:
    """The first row that counts several requests, where most do; asked of the first piece."""
    for name in leaves(table.frame):
        if plain(name) not in _NUMBERS:
            continue
        values = as_numbers(column(table.frame, name))
        if not np.isnan(values).all() and np.nanmedian(values) >= 2:
            text = (
                f"a row counts several requests ({name}), and a log has a row for each: of counts take the mean rate "
                "and lengths (arrivals: {kind: poisson, rate_rps: …}, lengths: {isl: …, osl: …})"
            )
            return problems_at(table, column(table.frame, name), values >= 2, text)[:1]
    return []


def of_enclosing(table: Table) -> list[Problem]:
    """The first row that other rows are part of: with theirs, its tokens would count twice."""
    names = {
        plain(name): str(name) for name in table.frame.columns if plain(str(name)) in (*_OWN, *_ENCLOSING, _OF_SPANS)
    }
    own = next((names[each] for each in _OWN if each in names), None)
    parents = (*_ENCLOSING, _OF_SPANS) if "spanid" in names else _ENCLOSING
    within = next((names[each] for each in parents if each in names), None)
    if own is None or within is None:
        return []
    ids = table.frame[own].astype(str)
    inner = table.frame[within]
    encloses = ids.isin(set(inner[inner.notna()].astype(str)) - {""}).to_numpy(np.bool_)
    text = (
        f"other rows are part of this one ({within}) and say its tokens again: keep the calls of a model alone, as by "
        "leave_out_classes and columns: {class: …} of a column that tells them apart"
    )
    return problems_at(table, table.frame[own], encloses, text)[:1]


def of_repeated(table: Table, columns: tuple[str, ...]) -> list[Problem]:
    """The first row that has the name, the time and the tokens of one above: the same, written twice."""
    own = next((str(name) for name in table.frame.columns if plain(str(name)) in _REQUESTS), None)
    if own is None:
        return []
    ids = table.frame[own].astype(str)
    named = table.frame[own].notna() & (ids != "")
    twice = (named & ids.duplicated(keep=False)).to_numpy(np.bool_)
    if not twice.any():
        return []
    rows = table.rows(twice)
    again = rows.frame[[own, *columns]].astype(str).duplicated().to_numpy(np.bool_)
    count = int(again.sum())
    text = f"the row of this {own} stands above, with time and tokens (so do those of {count:,} rows): keep each once"
    return problems_at(rows, rows.frame[own], again, text)[:1]
