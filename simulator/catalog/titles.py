"""What people call entries of the catalog, where a text has their ids."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from simulator.catalog.gpus import gpus
from simulator.catalog.grids import grids
from simulator.catalog.models import models
from simulator.catalog.servers import server_kinds
from simulator.catalog.sites import Site, sites
from simulator.catalog.tokens import token_offers

_USUAL = "NVIDIA "
_OWN: ContextVar[Collection[str]] = ContextVar("own names", default=())


@contextmanager
def own_names(names: Collection[str]) -> Iterator[None]:
    """Within it these are names of one's own: a topology called `h200` stays one."""
    token = _OWN.set(frozenset(names))
    try:
        yield
    finally:
        _OWN.reset(token)


def title_of(kind: str, name: str) -> str:
    """Title of a `model`, `gpu`, `site` or `offer`; what the catalog does not know stays as it is."""
    return _titles(kind).get(name, name)


def short_title(kind: str, name: str) -> str:
    """The same without the maker of most GPUs, for which cells of a table have no room."""
    return title_of(kind, name).removeprefix(_USUAL)


def owner_words(owner: str) -> str:
    """Who a line of a bill is paid to, or for what: an offer, or a site with its GPU and how it is rented."""
    if owner in _titles("offer"):
        return title_of("offer", owner)
    site, *rest = owner.split("/")
    words = [title_of("site", site), *(short_title("gpu", part).replace("_", " ") for part in rest)]
    return ", ".join(words)


def in_titles(text: str) -> str:
    """A sentence with the ids of GPUs, models, offers and servers as titles, and those of sites and grids by place.

    Names of one's own, and what stands in a path or an assignment, stay as they are.
    """
    return _ids().sub(_title, text)


def _title(found: re.Match[str]) -> str:
    name = found[0]
    if name in _OWN.get():
        return name
    kind = found.lastgroup
    assert kind is not None
    return _titles(kind)[name]


@lru_cache
def _titles(kind: str) -> dict[str, str]:
    match kind:
        case "gpu":
            return {name: one.title for name, one in gpus().items()}
        case "model":
            return {name: one.title for name, one in models().items()}
        case "offer":
            return {name: f"{one.title} ({sites()[one.site].title})" for name, one in token_offers().items()}
        case "server":
            return {name: one.title for name, one in server_kinds().items()}
        case "grid":
            return {name: one.title for name, one in grids().items()}
        case "site":
            return {name: one.title for name, one in sites().items()}
        case "place":
            return {name: _in_a_sentence(one) for name, one in sites().items()}
    return {}


def _in_a_sentence(one: Site) -> str:
    is_name = one.kind in ("cloud", "api") and one.region != "unknown"
    return one.title if is_name else one.title[0].lower() + one.title[1:]


@lru_cache
def _ids() -> re.Pattern[str]:
    """Ids, each kind a group; those of places, which are words, behind what comes before a place alone."""
    before = {"place": "(?<= at )", "grid": "(?<=grid of )"}
    groups = [
        f"{before.get(kind, '')}(?P<{kind}>{'|'.join(map(re.escape, sorted(_titles(kind), key=len, reverse=True)))})"
        for kind in ("offer", "server", "gpu", "model", "place", "grid")
    ]
    return re.compile(rf"(?<![\w./=-])(?:{'|'.join(groups)})(?![\w/=-]|\.\w)")
