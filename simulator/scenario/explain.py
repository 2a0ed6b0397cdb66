"""Turns pydantic's errors into sentences at dotted paths, with the closest known name for an unknown one."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from simulator.scenario.document import join
from simulator.scenario.unknown import models_in, unknown_key, unknown_value
from simulator.schema.base import NOT_A_NUMBER, Day, Name, pattern_of
from simulator.schema.clock import Country, Days, Hours, Moment, OpenDays, OpenHours
from simulator.schema.scenario import Scenario
from simulator.schema.study import Month

KEY_MARK = "[key]"
"""Pydantic's last step to an error in a key rather than in its value."""
AUTO_MARK = "literal['auto']"
"""Pydantic's last step to a value that is not `auto`, where it may be."""
LIST_MARK = "tuple["
"""How pydantic's step to the list in a union begins."""
PATTERNS = {
    pattern_of(Name): "letters, digits, '_', '.' and '-', without spaces",
    pattern_of(Day): "a day, as 2026-11-26",
    pattern_of(Days): "days of the week, as mon-fri or sat, sun",
    pattern_of(OpenDays): "days of the week, as mon-fri or sat, sun, or auto",
    pattern_of(Hours): "hours of a day, from and to, as 8-20, 8:30-17 or 22-6",
    pattern_of(OpenHours): "hours of a day, from and to, as 8-20, 8:30-17 or 22-6, or auto",
    pattern_of(Moment): "a day of the week and a time, as tue 8:00, or a date and a time, as 2027-03-02 8:00",
    pattern_of(Country): "a country or a part of it, as DE or DE-BE",
    pattern_of(Month): "a month of the calendar, as 2027-01",
}
"""What text has to look like, by the pattern that checks it."""
UNITS = {
    "s": "s",
    "ms": "ms",
    "h": "hours",
    "w": "W",
    "kw": "kW",
    "kwh": "kWh",
    "gib": "GiB",
    "gb": "GB",
    "rps": "requests a second",
    "usd": "USD",
    "tokens": "tokens",
}
"""What numbers count, by the last word of their key."""
_UNQUOTED = " without quotes"
MAPPING_TYPES = ("model_type", "model_attributes_type", "dict_type")


def own_errors(data: Any, error: ValidationError) -> list[Any]:
    """Entries of `errors()` that do not merely repeat another.

    Left out are a list called too short because its items are broken, and the member of a union that the user did not
    mean: of a number and a distribution, a mapping is meant as a distribution, anything else as a number; of a number
    and a list, a list as a list.
    """
    found = error.errors(include_url=False)
    return [
        detail
        for detail in found
        if not (
            _too_short_by_others(detail, found)
            or _other_member(data, detail, found)
            or _other_than_list(data, detail, found)
            or _other_than_auto(detail, found)
        )
    ]


def _too_short_by_others(detail: Any, found: list[Any]) -> bool:
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in found
    )


def _other_than_list(data: Any, detail: Any, found: list[Any]) -> bool:
    """Of what may be a list: a list is meant as one, anything else as what may stand in its place."""
    for other in found:
        at = next((k for k, part in enumerate(other["loc"]) if str(part).startswith(LIST_MARK)), None)
        if at is not None and detail["loc"][:at] == other["loc"][:at] and len(detail["loc"]) > at:
            node = data
            for part in detail["loc"][:at]:
                node = node[part] if has(node, part) else node
            return isinstance(node, list) != str(detail["loc"][at]).startswith(LIST_MARK)
    return False


def _other_than_auto(detail: Any, found: list[Any]) -> bool:
    """Of what may be left open: text is meant as `auto`, anything else as what stands in its place."""
    for other in found:
        if other["loc"][-1] == AUTO_MARK and detail["loc"][: len(other["loc"]) - 1] == other["loc"][:-1]:
            return (detail is other) != isinstance(other["input"], str)
    return False


def _other_member(data: Any, detail: Any, found: list[Any]) -> bool:
    node = data
    for part in detail["loc"][:-1]:
        node = node[part] if has(node, part) else node
    if has(node, detail["loc"][-1]):
        return False
    alone = all(
        other is detail or other["loc"][-1] == AUTO_MARK
        for other in found
        if other["loc"][: len(detail["loc"]) - 1] == detail["loc"][:-1]
    )
    if isinstance(detail["input"], dict):
        return not alone and bool(detail["type"] == "float_type")
    return not alone and detail["type"] in ("model_attributes_type", "model_type")


def has(node: Any, part: int | str) -> bool:
    """Whether plain data has this key or place."""
    return (isinstance(node, dict) and part in node) or (
        isinstance(node, list) and isinstance(part, int) and part < len(node)
    )


_NO_ANSWER = ": what has none, as an embedding or a score, is a prompt with one token, which a price of 0 leaves free"


def explain(data: Any, error: Any, root: type[BaseModel] = Scenario) -> tuple[str, str, Any]:
    """Path, message and offending value of one entry of `ValidationError.errors()` of the model `root`."""
    kind, loc = error["type"], error["loc"]
    path, value, models = _walk(data, loc, root)
    if kind == "extra_forbidden":
        return path, unknown_key(str(loc[-1]), models), None
    if kind == "missing":
        return path, f"{loc[-1]!r} is missing", None
    if value is None and error["input"] is None:
        return path, _null(data, loc, root), None
    if path == "topologies" and value == {}:
        return path, "must have at least one topology, none is left", None
    if loc[-1] == KEY_MARK and kind != "literal_error":
        return path, "must be a name of letters, digits, '_', '.' and '-'", None
    if kind in MAPPING_TYPES:
        return path, "must be a mapping of keys to values", None if isinstance(value, list) else value
    if kind == "too_short":
        return path, f"must have at least {error['ctx']['min_length']}, has {error['ctx']['actual_length']}", None
    if kind == "literal_error" and loc[-1] == AUTO_MARK and _is_quoted(value):
        return path, f"{NOT_A_NUMBER}{_UNQUOTED}, or auto", value
    if kind in ("literal_error", "union_tag_invalid"):
        expected = error["ctx"].get("expected") or error["ctx"].get("expected_tags")
        choices = [choice.strip(" '") for choice in expected.replace(" or ", ",").split(",")]
        name = str(error["ctx"].get("tag", error["input"]))
        if kind == "union_tag_invalid" and value.get("kind", name) is None:
            return join(path, "kind"), f"is null, and must be given: known are {', '.join(sorted(choices))}", None
        return (
            (join(path, "kind") if kind == "union_tag_invalid" else path),
            unknown_value(name, str(loc[-1]), choices),
            None,
        )
    if kind == "union_tag_not_found":
        return path, "'kind' is missing", None
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] in PATTERNS:
        return path, f"must be {PATTERNS[error['ctx']['pattern']]}", value
    message = (
        error["msg"]
        .replace("Input should be", "must be")
        .replace("Value error, ", "")
        .replace("a valid tuple", "a list")
        .replace("a valid boolean", "true or false")
    )
    if message == NOT_A_NUMBER:
        unit = UNITS.get(str(loc[-1]).rpartition("_")[2])
        message += f"{_UNQUOTED if _is_quoted(value) else ''}{f', in {unit}' if unit is not None else ''}"
    if value == 0 and path.endswith(".lengths.osl"):
        message += _NO_ANSWER
    return path, message, value if not isinstance(value, dict | list) else None


def _null(data: Any, loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """What to write instead of nothing at the last place of `loc` that the data has."""
    last, node = 0, data
    for k, part in enumerate(loc):
        if has(node, part):
            last, node = k, node[part]
    _, _, models = _walk(data, loc[:last], root)
    fields = [model.model_fields[str(loc[last])] for model in models if loc[last] in model.model_fields]
    if not fields:
        return "is null: give it a value, or remove it"
    if fields[0].is_required():
        return "is null, and must be given"
    default = fields[0].get_default(call_default_factory=True)
    return f"is null: write {_as_written(default)}, or leave the key out"


def _as_written(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, BaseModel | dict):
        return "{}"
    if isinstance(default, tuple | list):
        return "[]"
    return str(default)


def _is_quoted(value: Any) -> bool:
    """Whether a number is written as text."""
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _walk(data: Any, loc: tuple[int | str, ...], root: type[BaseModel]) -> tuple[str, Any, list[type[BaseModel]]]:
    """Follow `loc` as far as the data goes; names that are no keys are pydantic's own marks for members of a union."""
    path, node = "", data
    models: list[type[BaseModel]] = [root]
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if not has(node, part):
            continue
        if not last or not _is_unknown(models, part):
            models = _below(models, part, node)
        path, node = join(path, part), node[part]
    return path, node, models


def _is_unknown(models: list[type[BaseModel]], part: int | str) -> bool:
    return bool(models) and isinstance(part, str) and all(part not in model.model_fields for model in models)


def _below(models: list[type[BaseModel]], part: int | str, node: Any) -> list[type[BaseModel]]:
    if isinstance(part, int):
        return models
    annotations = [model.model_fields[part].annotation for model in models if part in model.model_fields]
    if not annotations:
        return models
    found = [model for annotation in annotations for model in models_in(annotation)]
    child = node.get(part)
    kind = child.get("kind") if isinstance(child, dict) else None
    tagged = [model for model in found if kind in _kinds(model)]
    return tagged or found


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
