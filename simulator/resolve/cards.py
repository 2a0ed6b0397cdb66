"""GPUs as vLLM's start-up sees them: of the catalog, or from a file of the user's own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import Quantity, read_yaml
from simulator.errors import InputError, Problem, unknown_name
from simulator.memory.profile import Card
from simulator.scenario.document import read_document
from simulator.schema.hardware import HardwareSettings
from simulator.units import BYTES_PER_GIB

MOST_GIB = 1e6
OWN_CARD = ("name", "memory_gib", "generation", "peers")


def card_of(name: str) -> Card:
    """A GPU as the engine sees it.

    Raises
    ------
    InputError : no such GPU
    """
    if name.endswith((".yaml", ".yml")):
        return _own_card(Path(name))
    return _catalog_card(name)


@lru_cache
def _catalog_card(name: str) -> Card:
    found = gpu(name)
    data = read_yaml("gpu_engine.yaml")
    row = data["gpus"].get(found.name)
    if row is None:
        share = Quantity(**data["unlisted_share"]).value
        return Card(found.name, found.memory.value * share, "unknown", peers=False)
    memory = Quantity(**row["memory"]).value * BYTES_PER_GIB
    return Card(found.name, memory, str(row["generation"]), bool(row["peers"]), int(row.get("nvlinks", 0)))


def _own_card(file: Path) -> Card:
    """A GPU of the user's own: `name`, `memory_gib` as torch sees it, `generation`, `peers`; or `like` one of the
    catalog, with what differs as in a scenario's `hardware`."""
    values = _values(file)
    if not isinstance(values, dict):
        raise InputError(Problem(f"must hold {', '.join(OWN_CARD)}", file=str(file)))
    if "like" in values:
        near = card_of(str(values.pop("like")))
        return seen(_hardware(values, file), near, str(values.get("name", f"{near.name}-own")))
    for key in [key for key in values if key not in OWN_CARD] + [key for key in OWN_CARD[:3] if key not in values]:
        raise InputError(Problem(f"a GPU has {', '.join(OWN_CARD)}: not so", file=str(file), path=str(key)))
    memory = values["memory_gib"]
    if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 < memory <= MOST_GIB:
        text = f"must be GiB above 0, at most {MOST_GIB:g}"
        raise InputError(Problem(text, file=str(file), path="memory_gib", got=str(memory)[:60]))
    generations = {str(row["generation"]) for row in read_yaml("gpu_engine.yaml")["gpus"].values()}
    if values["generation"] not in generations:
        raise InputError(unknown_name("generation", str(values["generation"]), generations))
    peers = values.get("peers", False)
    if not isinstance(peers, bool):
        raise InputError(Problem("must be true or false", file=str(file), path="peers", got=str(peers)))
    return Card(str(values["name"]), memory * BYTES_PER_GIB, values["generation"], peers)


def seen(settings: HardwareSettings, near: Card, name: str) -> Card:
    """The GPU as the engine's start-up sees it: `memory_gib` is what torch sees already; without peer access its links
    join no peers."""
    memory = near.memory_bytes if settings.memory_gib is None else settings.memory_gib * BYTES_PER_GIB
    peers = near.peers and (settings.links is None or settings.links.peer_access is not False)
    return replace(near, name=name, memory_bytes=memory, peers=peers)


def read_hardware(file: Path) -> HardwareSettings:
    """Hardware of a YAML file.

    Raises
    ------
    InputError : no such file, or something else in it
    """
    values = _values(file)
    if isinstance(values, dict):
        values = {key: value for key, value in values.items() if key != "like"}
    return _hardware(values, file)


def _hardware(values: Any, file: Path) -> HardwareSettings:
    try:
        return HardwareSettings.model_validate(values)
    except ValidationError as error:
        found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
        raise InputError(*(Problem(told, file=str(file), path=path or None) for path, told in found)) from error


def _values(file: Path) -> Any:
    return read_document(file).data
