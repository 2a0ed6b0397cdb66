"""Names in published results → names in the catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from simulator.catalog.gpus import gpu, gpu_called, gpus
from simulator.catalog.models import model, models
from simulator.errors import InputError

FOLDER = files("calibrate.serving") / "data"


class NotSupported(Exception):
    """The row cannot be simulated; the text says why."""


@lru_cache
def read_data(name: str) -> dict[str, Any]:
    """Data file of this room."""
    loaded: dict[str, Any] = YAML(typ="safe").load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


def fits(columns: Mapping[str, str], when: Mapping[str, str]) -> bool:
    """Whether each column that `when` names fits one of its shell patterns, which `|` separates; in lower case."""
    return all(
        any(fnmatchcase(columns.get(name, "").lower(), pattern) for pattern in patterns.split("|"))
        for name, patterns in when.items()
    )


def plain(text: str) -> str:
    """Lower case, every run of signs that are neither letters nor digits as one hyphen."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _found(kind: str, field: str, text: str) -> str | None:
    for entry in read_data("names.yaml")[kind]:
        if re.search(entry["pattern"], plain(text)):
            return str(entry[field])
    return None


def gpu_name(text: str) -> str:
    """Catalog name of a GPU.

    Raises
    ------
    NotSupported : not recognised, or not in the catalog
    """
    if (called := gpu_called(text)) in gpus():
        return called
    name = _found("gpus", "gpu", text)
    if name is None:
        raise NotSupported(f"GPU {text!r} is not known; the catalog has {', '.join(sorted(gpus()))}")
    if name not in gpus():
        raise NotSupported(f"GPU {text!r} ({name}) is not in the catalog")
    return name


def model_name(text: str) -> str:
    """Catalog name of a model, by its Hugging Face id with or without owner and format; or a config.json's path.

    Raises
    ------
    NotSupported : not in the catalog, with the closest name
    """
    if text.endswith(".json"):
        return text
    name = re.sub(r"\s*\(.*\)$", "", text.strip())
    refusal = ""
    while True:
        for known in (name, name.rsplit("/", 1)[-1], name.rsplit("/", 1)[-1].removeprefix("Meta-")):
            try:
                return model(known).name
            except InputError as error:
                refusal = refusal or str(error)
        shorter = re.sub(read_data("names.yaml")["model_endings"] + "$", "", name, flags=re.IGNORECASE)
        if shorter == name:
            raise NotSupported(f"{refusal}; or give the path of its config.json")
        name = shorter


def weight_format(text: str, model_text: str, name: str, card: str) -> str:
    """Format of the weights: as stated, else as the model's name says, else the model's own.

    A format that the GPU does not compute in becomes the weight-only one that the engine uses there.

    Raises
    ------
    NotSupported : a format that the simulator lacks
    """
    stated = _found("weights", "dtype", text) or _found("weights", "dtype", model_text)
    if stated == "bf16":
        stated = _found("weights", "dtype", model_text) or stated
    native = models()[name].native_dtype if name in models() else "bf16"
    dtype = stated or native
    if native == "mxfp4" and dtype in ("fp4", "bf16"):
        dtype = native
    if dtype == "fp32":
        raise NotSupported("32-bit weights are not simulated")
    card_formats = gpu(card).device.precisions
    if dtype not in card_formats:
        weight_only = read_data("names.yaml")["weight_only"].get(dtype)
        if weight_only is None:
            raise NotSupported(f"{card} does not run {dtype}")
        dtype = str(weight_only)
    return dtype


def kv_format(text: str) -> str:
    """Format of the KV cache; `auto` where nothing is said."""
    return _found("kv_cache", "dtype", text) or "auto"
