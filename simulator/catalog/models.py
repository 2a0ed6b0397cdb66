"""Models by name, with their architecture and published sizes."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from pydantic import Field

from simulator.catalog.architecture import architecture_of
from simulator.catalog.quantity import Entry, Quantity, Source, read_yaml
from simulator.catalog.shapes.config import shape_from_config
from simulator.errors import InputError, unknown_name
from simulator.memory.shape import ModelShape
from simulator.perf.architecture import Architecture


class Model(Entry):
    """One model: the keys of its `config.json` that matter, and what its publisher says of its size.

    Attributes
    ----------
    native_dtype : weight format that it is published in
    config : keys of its Hugging Face `config.json`, all read in `config_source`
    total_parameters, active_parameters : as published; the second for mixtures of experts
    checkpoints : keys that the publisher's quantised checkpoint of a format has otherwise, by format; another owner's
        after its name and a stroke
    """

    name: str
    hf_id: str
    aliases: tuple[str, ...] = ()
    native_dtype: str
    config: dict[str, Any]
    config_source: Source
    total_parameters: Quantity
    active_parameters: Quantity | None = None
    checkpoints: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """What its publisher calls it, with blanks where it is written with capitals."""
        name = self.hf_id.rpartition("/")[2]
        return name if name == name.lower() else name.replace("-", " ").replace("_", ".")

    @property
    def shape(self) -> ModelShape:
        return _shape(self.name)

    @property
    def architecture(self) -> Architecture:
        return _architecture(self.name)


@lru_cache
def models() -> dict[str, Model]:
    """All models by name."""
    return {name: Model(name=name, **fields) for name, fields in read_yaml("models.yaml")["models"].items()}


@cache  # of a catalog's names, all of which are gone through in turn
def _shape(name: str) -> ModelShape:
    return shape_from_config(name, models()[name].config, whole=True)


@cache
def _architecture(name: str) -> Architecture:
    return architecture_of(_shape(name))


@lru_cache
def _names() -> dict[str, str]:
    """Every way to call a model, in lower case: name, alias, Hugging Face id with and without its owner, and with
    `-instruct` where it does not say so."""
    names: dict[str, str] = {}
    for name, entry in models().items():
        for alias in (name, *entry.aliases, entry.hf_id.lower()):
            for known in (alias, alias.rsplit("/", 1)[-1]):
                names[known] = name
                if "instruct" not in known:
                    names[f"{known}-instruct"] = name
    return names


def model(name: str) -> Model:
    """Model called `name`: catalog name, alias or Hugging Face id, in any case, with or without `-instruct`; another
    owner's copy is known by the rest of its id.

    Raises
    ------
    InputError : no such model
    """
    names, asked = _names(), name.lower()
    known = names.get(asked) or names.get(asked.rsplit("/", 1)[-1])
    if known is None:
        raise InputError(unknown_name("model", name, names))
    return models()[known]
