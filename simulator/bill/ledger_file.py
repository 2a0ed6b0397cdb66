"""What was used and what was agreed as JSON: a bundle's `usage.json` and `terms.json`, by topology."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.terms import Terms
from simulator.study.usage import Usage

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Noun = typing.TypeVar("Noun")


def terms_data(terms: Terms) -> Json:
    """Terms as JSON, field by field; InputError if a price is a set of draws."""
    return _data(terms)


def read_terms(data: Json) -> Terms:
    """Terms of `terms_data`."""
    return _read(Terms, data, "terms")


def usage_data(months: Sequence[MonthUse]) -> Json:
    """Use of each month as JSON: `months`, whose periods name an entry of `usages` by number; each usage once."""
    usages: dict[int, Usage] = {}
    for month in months:
        for period in month.periods:
            usages[id(period.usage)] = period.usage
    numbers = {key: number for number, key in enumerate(usages)}
    rows: list[Json] = [
        [
            {"usage": numbers[id(period.usage)], "hours": period.hours, "replication": period.replication}
            for period in month.periods
        ]
        for month in months
    ]
    return {"months": rows, "usages": [_data(usage) for usage in usages.values()]}


def read_usage(data: Json) -> tuple[MonthUse, ...]:
    """Months of `usage_data`; months with the same periods are one object again."""
    if not isinstance(data, dict) or not isinstance(data.get("months"), list):
        raise InputError(Problem("is no ledger of use", path="usage"))
    usages = [_read(Usage, item, "usage") for item in typing.cast(list[Json], data["usages"])]
    known: dict[str, MonthUse] = {}
    found = []
    for row in typing.cast(list[list[dict[str, typing.Any]]], data["months"]):
        periods = [
            PeriodUse(usages[item["usage"]], item["hours"], replication=item.get("replication", 0)) for item in row
        ]
        found.append(known.setdefault(repr(row), MonthUse(tuple(periods))))
    return tuple(found)


def _data(value: object) -> Json:
    if dataclasses.is_dataclass(value):
        return {item.name: _data(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return typing.cast(Json, value.tolist())
    if isinstance(value, np.generic):
        return typing.cast(Json, value.item())
    if isinstance(value, (list, tuple)):
        return [_data(item) for item in value]
    return typing.cast(Json, value)


def _read(kind: type[Noun], data: Json, place: str) -> Noun:
    if not isinstance(data, dict):
        raise InputError(Problem(f"is no {kind.__name__}", path=place))
    hints = typing.get_type_hints(kind)
    unknown = set(data) - set(hints)
    if unknown:
        raise InputError(Problem(f"unknown keys {', '.join(sorted(unknown))}", path=place))
    return kind(**{name: _value(hints[name], item, f"{place}.{name}") for name, item in data.items()})


def _value(hint: object, data: Json, place: str) -> object:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _read(hint, data, place)
    if origin is np.ndarray:
        return _array(hint, data)
    if origin is tuple and isinstance(data, list):
        kinds = [arguments[0]] * len(data) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_value(kind, item, place) for kind, item in zip(kinds, data, strict=True))
    if origin in (typing.Union, types.UnionType) and isinstance(data, dict):
        noun = next(kind for kind in arguments if dataclasses.is_dataclass(kind))
        return _value(noun, data, place)
    if origin in (typing.Union, types.UnionType) and isinstance(data, list):
        return np.asarray(data, dtype=np.float64)
    return data


def _array(hint: object, data: Json) -> NDArray[typing.Any]:
    dtype = typing.get_args(typing.get_args(hint)[1])[0]
    return np.asarray(data, dtype=dtype)
