"""Checks that a scenario names only what the catalog has, all names at once and each at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from simulator.errors import InputError, Problem
from simulator.scenario.load import LoadedScenario
from simulator.scenario.named_files import is_config
from simulator.schema.engine import EngineSettings
from simulator.schema.money import Servers

LookUp = Callable[[str], object]
"""Finds an entry by name, aliases included, and raises InputError for a name that it does not know."""


def check_names(
    loaded: LoadedScenario,
    models: LookUp,
    gpus: LookUp,
    sites: LookUp,
    token_offers: LookUp,
    servers: LookUp,
    grids: LookUp,
) -> None:
    """Look up every model, GPU, site, grid and token offer that the scenario names.

    A model that is a `config.json` or a folder holding one is no name.

    Raises
    ------
    InputError : every name that a look-up refuses, with file, line and column of the name
    """
    problems: list[Problem] = []
    look_up = {"model": models, "gpu": gpus, "site": sites, "offer": token_offers, "server": servers, "grid": grids}
    for path, kind, name in _names(loaded):
        file, line, column = loaded.place(path)
        if kind == "model" and is_config(loaded.path.parent, name):
            continue
        try:
            look_up[kind](name)
        except InputError as error:
            problems += [replace(found, file=file, line=line, column=column, path=path) for found in error.problems]
    if problems:
        raise InputError(*problems)


def _names(loaded: LoadedScenario) -> Iterator[tuple[str, str, str]]:
    """Path, kind and value of every name."""
    yield "model", "model", loaded.scenario.model
    yield from _draft_names("engine", loaded.scenario.engine)
    yield from _server_names("servers", loaded.scenario.servers)
    for name, topology in loaded.scenario.topologies.items():
        yield from _server_names(f"topologies.{name}.servers", topology.servers)
        for k, pool in enumerate(topology.pools):
            path = f"topologies.{name}.pools[{k}]"
            if pool.model is not None:
                yield f"{path}.model", "model", pool.model
            if pool.engine is not None:
                yield from _draft_names(f"{path}.engine", pool.engine)
            yield f"{path}.gpu", "gpu", pool.gpu
            yield f"{path}.site", "site", pool.site
            if pool.grid is not None:
                yield f"{path}.grid", "grid", pool.grid
        for k, provider in enumerate(topology.providers):
            if provider.offer is not None:
                yield f"topologies.{name}.providers[{k}].offer", "offer", provider.offer


def _server_names(path: str, section: Sequence[Servers]) -> Iterator[tuple[str, str, str]]:
    for k, servers in enumerate(section):
        yield f"{path}[{k}].site", "site", servers.site
        if servers.gpu is not None:
            yield f"{path}[{k}].gpu", "gpu", servers.gpu
        if servers.server is not None:
            yield f"{path}[{k}].server", "server", servers.server


def _draft_names(path: str, engine: EngineSettings) -> Iterator[tuple[str, str, str]]:
    if engine.speculative_config is not None and engine.speculative_config.model is not None:
        yield f"{path}.speculative_config.model", "model", engine.speculative_config.model
