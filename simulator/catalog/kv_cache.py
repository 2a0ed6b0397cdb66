"""Formats of the KV cache by name, as a version of vLLM has them for a model on a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from simulator.catalog.quantity import read_yaml
from simulator.catalog.vllm import parsed
from simulator.errors import InputError, Problem, unknown_name
from simulator.memory.kv_format import KvFormat
from simulator.memory.profile import Card
from simulator.memory.shape import ModelShape

_OF_FORMAT = tuple(name for name in KvFormat.__dataclass_fields__ if name not in ("name", "lengthened"))


@lru_cache
def kv_cache_names() -> tuple[str, ...]:
    """Names that `--kv-cache-dtype` takes here, `auto` first."""
    data = read_yaml("kv_cache.yaml")
    return ("auto", *data["formats"], *data["aliases"])


def kv_format(asked: str, checkpoint: str, shape: ModelShape, card: Card, version: str, path: str) -> KvFormat:
    """How the KV cache is stored.

    Parameters
    ----------
    asked : name of a format, `auto` for the checkpoint's own
    checkpoint : format that the checkpoint fixes, or `auto`
    path : where it was asked for, for messages

    Raises
    ------
    InputError : no such format, or no kernel of vLLM for it with this model, GPU and version
    """
    name = asked.lower()
    if name not in kv_cache_names():
        raise InputError(unknown_name(path, asked, kv_cache_names()))
    data = read_yaml("kv_cache.yaml")
    name = data["aliases"].get(name, name)
    if asked.lower() == "auto":
        name = checkpoint
    if _is_sparse(shape):
        name = _of_sparse(name, asked.lower() == "auto", data["sparse"], shape, card, version)
    if name == "auto":
        return KvFormat()
    row = data["formats"][name]
    lacking = next(_lacking(row, shape, card, version), None)
    if lacking is not None:
        others = ", ".join(other for other in ("auto", "fp8") if other != name)
        told = f"vLLM {version} has no attention kernel for a KV cache in {name} {lacking}; use {others}"
        raise InputError(Problem(told, path=path, got=asked))
    lengthened = not _before(version, data["lengthened_since"])
    return KvFormat(name, lengthened=lengthened, **{key: row[key] for key in _OF_FORMAT if key in row})


def _is_sparse(shape: ModelShape) -> bool:
    """Latents with an indexer that picks those that are read."""
    return shape.is_mla and any(cache.row_bytes and not cache.block_tokens for cache in shape.caches)


def _of_sparse(
    name: str, left_to_vllm: bool, data: Mapping[str, Any], shape: ModelShape, card: Card, version: str
) -> str:
    """The format that a sparse kernel makes of one."""
    chosen = _since(data["models_in_fp8"], version)
    if left_to_vllm and name == "auto":
        always = card.generation in _since(data["always_fp8"], version).get("generations", ())
        if always or (
            card.generation in chosen.get("generations", ()) and shape.model_type in chosen.get("model_types", ())
        ):
            name = "fp8"
    plain = card.generation in _since(data["plain_fp8"], version).get("generations", ())
    plain = plain or (card.generation == "hopper" and shape.latent is not None and not shape.latent.rope)
    return "fp8_ds_mla" if name == "fp8" and not plain else name


def _lacking(row: Mapping[str, Any], shape: ModelShape, card: Card, version: str) -> Iterator[str]:
    """What of a model, GPU or version a format is not for, in words."""
    if _before(version, row["since"]):
        yield f"before {row['since']}"
    if row.get("latent") == "sparse" and not _is_sparse(shape):
        yield "without sparse latent attention"
    if shape.is_mla and not row.get("latent"):
        yield "with latent attention"
    kinds = {cache.kind for cache in shape.caches}
    if not row.get("windows", True) and kinds & {"window", "chunk"}:
        yield "with sliding windows"
    if not row.get("sinks", True) and shape.sinks:
        yield "with attention sinks"
    if "state" in kinds and "states_since" in row and _before(version, row["states_since"]):
        yield f"beside recurrent states before {row['states_since']}"
    heads = {cache.head_dim for cache in shape.caches if cache.kind not in ("state", "latent")}
    odd = sorted(width for width in heads if _odd_width(width, row, card))
    if odd:
        yield f"with heads of {odd[0]}"
    here = _since(row["kernels"], version).get("generations", ()) if "kernels" in row else None
    unknown = card.generation == "unknown"
    if not unknown and (
        card.generation in row.get("lacking", ()) or (here is not None and card.generation not in here)
    ):
        yield f"on {card.name} ({card.generation})"
    if shape.sinks and card.generation not in row.get("sinks_on", (card.generation,)):
        yield f"with attention sinks on {card.name} ({card.generation})"


def _odd_width(width: int, row: Mapping[str, Any], card: Card) -> bool:
    """Heads for which a format has no kernel on a GPU."""
    if "head_dims" in row:
        here = row.get("head_dims_on", {}).get(width, (card.generation,))
        return width not in row["head_dims"] or card.generation not in here
    return bool(width % row.get("per_scale", 2))


def _since(rows: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """Last row whose version is not newer, or none."""
    return ([row for row in rows if not _before(version, str(row["since"]))] or [{}])[-1]


def _before(version: str, since: str) -> bool:
    return parsed(version) < parsed(since)
