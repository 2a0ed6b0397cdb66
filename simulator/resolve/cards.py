"""GPUs as vLLM's start-up sees them: of the catalog, or from a file of the user's own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from simulator.catalog.gpus import gpu, gpu_called
from simulator.catalog.quantity import Quantity, read_yaml
from simulator.errors import InputError, Problem, unknown_name
from simulator.memory.profile import Card
from simulator.scenario.document import Document, read_document
from simulator.scenario.load import check_mappings, place, validated
from simulator.schema.hardware import HardwareSettings, OwnCard
from simulator.units import BYTES_PER_GIB


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
    shared = bool(row.get("host_memory", False))
    return Card(found.name, memory, str(row["generation"]), bool(row["peers"]), int(row.get("nvlinks", 0)), shared)


def notes_of_card(card: Card, kv_cache_memory_bytes: float | None = None) -> tuple[str, ...]:
    """What makes the plan of a GPU unsure."""
    if not card.host_memory or kv_cache_memory_bytes is not None:
        return ()
    return (
        f"{card.name}: GPU and processors share one memory, and vLLM counts what processes, compilers and files take "
        "of it when it starts: the same engine finds some GiB more or less from one start to the next, up to 30 less; "
        "vLLM's --kv-cache-memory-bytes makes it sure",
    )


def _own_card(file: Path) -> Card:
    """A GPU of the user's own: `name`, `memory_gib` as torch sees it, `generation`, `peers`; or `like` one of the
    catalog, with what differs as in a scenario's `hardware`."""
    document = read_document(file)
    check_mappings(document)
    if "like" in document.data:
        near = _catalog_card(gpu_called(str(document.data["like"])))
        settings = _hardware(document)
        return seen(settings, near, settings.name or f"{near.name}-own")
    differing = sorted(document.data.keys() & (HardwareSettings.model_fields.keys() - OwnCard.model_fields.keys()))
    if differing:
        told = "says what differs from a GPU of the catalog: name that one, as 'like: rtx-5090'"
        raise InputError(Problem(told, *place(document, differing[0]), path=differing[0]))
    own = validated(document, OwnCard)
    generations = {str(row["generation"]) for row in read_yaml("gpu_engine.yaml")["gpus"].values()}
    if own.generation not in generations:
        told = unknown_name("generation", own.generation, generations)
        raise InputError(Problem(told, *place(document, "generation"), path="generation"))
    return Card(own.name, own.memory_gib * BYTES_PER_GIB, own.generation, own.peers)


def seen(settings: HardwareSettings, near: Card, name: str) -> Card:
    """The GPU as the engine's start-up sees it: `memory_gib` is what torch sees already; without peer access its links
    join no peers."""
    memory = near.memory_bytes if settings.memory_gib is None else settings.memory_gib * BYTES_PER_GIB
    peers = near.peers and (settings.links is None or settings.links.peer_access is not False)
    return replace(near, name=name, memory_bytes=memory, peers=peers, like=near.like or near.name)


def read_hardware(file: Path) -> HardwareSettings:
    """Hardware of a YAML file.

    Raises
    ------
    InputError : no such file, or something else in it
    """
    document = read_document(file)
    check_mappings(document)
    return _hardware(document)


def _hardware(document: Document) -> HardwareSettings:
    """What differs from the GPU that a file names, if it names one."""
    values = {key: value for key, value in document.data.items() if key != "like"}
    return validated(replace(document, data=values), HardwareSettings)
