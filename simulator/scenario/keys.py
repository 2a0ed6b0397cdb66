"""Every key of a scenario, as a person looks it up: where it stands, what it may be, what it is unless given."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulator.errors import MOST_MEANT, InputError
from simulator.scenario.explain import PATTERNS
from simulator.scenario.jsonschema import json_schema
from simulator.scenario.unknown import CALLED
from simulator.scenario.vllm_options import VERSION, option_of

TYPES = {
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "string": "text",
    "object": "mapping",
    "null": "",
}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
NEAR = 0.6
"""Similarity from which on a key is taken as meant."""
_LEAST_LETTERS = 3


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes
    ----------
    path
        Dotted; `*` stands for a name of the user's, `[]` for an entry of a list, `(kind)` for one kind of section.
    values
        What may stand there.
    default
        What holds unless it is given, as it would be written; empty where that depends, None where it must be given.
    text
        What it means.
    """

    path: str
    values: str
    default: str | None
    text: str

    @property
    def name(self) -> str:
        """Last step of the path."""
        return self.path.rsplit(".", 1)[-1].split("(")[0].removesuffix("[]")

    @property
    def vllm(self) -> str:
        """The option of vLLM that says the same, or nothing."""
        return option_of(self.path)

    @property
    def unless_given(self) -> str:
        """In words, what holds unless the key is given."""
        if self.default is None:
            return "must be given"
        return f"{self.default} unless given" if self.default else "may be left out"

    def in_words(self) -> str:
        """Path, meaning, values and default, and the option of vLLM, a line each."""
        told = f"{self.path}\n  {self.text}\n  {self.values}; {self.unless_given}"
        return f"{told}\n  vLLM: {self.vllm}" if self.vllm else told


def scenario_keys() -> tuple[Key, ...]:
    """Every key, sections before what stands in them, in the order of the schema."""
    schema = json_schema()
    return tuple(dict.fromkeys(_keys(schema, schema["definitions"], "", ())))


def find_keys(wanted: str, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The keys that are meant by a path, by its end, or by what other programs call it, with what stands in them.

    Of several with one name, what stands in them is left out but for the one whose path it is. A kind of section, as
    `sessions`, means the section and what stands in that kind of it.

    Raises
    ------
    InputError : no key is called so; it names the closest
    """
    steps = _steps(wanted)
    ending = [key for key in keys if _ends(key, steps)]
    found = [key for key in keys if steps == _steps(key.path)] or ending
    if not found and len(steps) == 1 and steps[0] in CALLED:
        return find_keys(CALLED[steps[0]], keys)
    if not found and (of_kind := _of_kind(steps, keys)):
        return of_kind
    if not found:
        raise _unknown(wanted, keys)
    alike = set(ending if len(steps) == 1 else ())
    return tuple(key for key in keys if key in alike or any(_within(key, section) for section in found))


def near_keys(wanted: str, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Keys whose names have `wanted` in them, else those that are spelled most like it; none where many would be."""
    near = _near_names(wanted, keys)
    return tuple(key for key in keys if key.name in near) if len(near) <= MOST_MEANT else ()


def keys_that_tell(wanted: str, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Keys whose meaning has the word in it where no name has, one of each name; none where many would be."""
    word = re.escape(_steps(wanted)[-1].removesuffix("s"))
    if len(word) < _LEAST_LETTERS or any(word in name for name in _near_names(wanted, keys)):
        return ()
    telling = {key.name: key for key in keys[::-1] if re.search(rf"\b{word}", key.text, re.IGNORECASE)}
    return tuple(key for key in keys if telling.get(key.name) is key) if len(telling) <= MOST_MEANT else ()


def _of_kind(steps: tuple[str, ...], keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Sections of a kind, and what stands in them; a path that leads to it may come before it."""
    before, kind = steps[:-1], steps[-1]
    if not kind:
        return ()
    marked = [(key, key.path.partition(f"({kind})")) for key in keys if f"({kind})" in key.path]
    sections = {path for _, (path, _, _) in marked}
    ours = {key.path for key in keys if key.path in sections and (not before or _ends(key, before))}
    inside = {key for key, (path, _, _) in marked if path in ours}
    return tuple(key for key in keys if key.path in ours or key in inside)


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str, ...]:
    """Steps of a path without the marks for entries and kinds."""
    return tuple(re.split(r"[(\[]", step)[0] for step in path.lower().split("."))


def _ends(key: Key, wanted: tuple[str, ...]) -> bool:
    """Whether the steps are the end of a key's path, with or without names of the user's."""
    full = _steps(key.path)
    for steps in (full, tuple(step for step in full if step != "*")):
        end = steps[-len(wanted) :]
        if len(end) == len(wanted) and all(mine in ("*", theirs) for mine, theirs in zip(end, wanted, strict=True)):
            return True
    return False


def keys_page(keys: tuple[Key, ...]) -> str:
    """The page of keys in Markdown: a heading for each section of the file, a row for each key."""
    lines = [
        "# Keys of a scenario",
        "",
        "What `servecast explain` says, as a page (`servecast explain --format md`). `*` stands for a name of",
        "your own, `[]` for an entry of a list, `(kind)` for what belongs to one kind of section.",
    ]
    sections = {re.split(r"[.(\\[]", key.path)[0] for key in keys if not key.path.isidentifier()}
    heading = ""
    for key in keys:
        first = re.split(r"[.(\\[]", key.path)[0]
        section = first if first in sections else "the file"
        if section != heading:
            heading = section
            lines += ["", f"## {section}", "", "| key | values | unless given | meaning |", "|---|---|---|---|"]
        default = "must be given" if key.default is None else (key.default and f"`{key.default}`")
        text = key.text.replace("|", "\\|")
        lines.append(f"| `{key.path}` | {key.values} | {default} | {text} |")
    lines += [
        "",
        "## Options of vLLM",
        "",
        f"Of vLLM {VERSION}. What stands behind an option is a key of its JSON.",
        "",
    ]
    lines += ["| key | option |", "|---|---|"]
    options = {key.vllm: key.path for key in reversed(keys) if key.vllm}
    lines += [f"| `{path}` | `{option}` |" for option, path in reversed(options.items())]
    return "\n".join(lines) + "\n"


def _unknown(wanted: str, keys: tuple[Key, ...]) -> InputError:
    near = _near_names(wanted, keys)
    hint = f"close are {', '.join(near[:MOST_MEANT])}" if near else "'servecast explain' lists the sections"
    return InputError(f"no key of a scenario is called {wanted!r}: {hint}")


def _near_names(wanted: str, keys: tuple[Key, ...]) -> list[str]:
    last = _steps(wanted)[-1]
    names = sorted({key.name for key in keys})
    near = [name for name in names if last and last in name]
    return near or difflib.get_close_matches(last, names, n=3, cutoff=NEAR)


def _within(key: Key, section: Key) -> bool:
    return key == section or key.path.startswith((f"{section.path}.", f"{section.path}[]", f"{section.path}("))


def _keys(node: dict[str, Any], known: dict[str, Any], path: str, inside: tuple[str, ...]) -> Iterator[Key]:
    """Keys of the mapping `node`; `inside` are the sections that hold it, which are not entered again."""
    must = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        if name == "kind" and "const" in field:
            continue
        at = f"{path}.{name}" if path else name
        default = None if name in must else _written(field.get("default"))
        yield Key(at, _values(field, known), default, " ".join(field.get("description", "").split()))
        yield from _below(field, known, at, inside)


def _below(field: dict[str, Any], known: dict[str, Any], at: str, inside: tuple[str, ...]) -> Iterator[Key]:
    """Keys of the mappings that a field may hold: itself, in a list, by name or as one of several."""
    name = field.get("$ref", "").rsplit("/", 1)[-1]
    if name in inside:
        return
    node, within = (known[name], (*inside, name)) if name else (field, inside)
    if "properties" in node:
        kind = node["properties"].get("kind", {}).get("const")
        yield from _keys(node, known, f"{at}({kind})" if kind else at, within)
    for option in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _below(option, known, at, within)
    if isinstance(node.get("items"), dict):
        yield from _below(node["items"], known, f"{at}[]", within)
    for option in (*node.get("patternProperties", {}).values(), node.get("additionalProperties")):
        if isinstance(option, dict):
            yield from _below(option, known, f"{at}.*", within)


def _written(value: Any) -> str:
    """A default as it would stand in the file; nothing where it depends on others, or is a section of its own."""
    if value is None or isinstance(value, dict):
        return ""
    return json.dumps(value) if not isinstance(value, str) else value


def _values(field: dict[str, Any], known: dict[str, Any]) -> str:
    """In words, what a field may hold."""
    if "$ref" in field:
        target = known[field["$ref"].rsplit("/", 1)[-1]]
        return "mapping" if "properties" in target else _values(target, known)
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        kinds = [known[option["$ref"].rsplit("/", 1)[-1]] for option in options if "$ref" in option]
        tags = [kind["properties"]["kind"]["const"] for kind in kinds if "kind" in kind.get("properties", {})]
        tags = [tag for tag in tags if tag is not None]
        words = [_values(option, known) for option in options]
        if tags:
            others = [word for word in words if word not in ("", "mapping")]
            words = [*others, f"mapping of kind {_or(tags)}"]
        return _or(list(dict.fromkeys(word for word in words if word)))
    if "enum" in field:
        return _or([str(value) for value in field["enum"]])
    if "const" in field:
        return str(field["const"]).lower() if isinstance(field["const"], bool) else str(field["const"])
    if field.get("pattern") in PATTERNS:
        return PATTERNS[field["pattern"]]
    if field.get("type") == "array":
        items = field.get("items")
        return f"list of {_values(items, known)}" if isinstance(items, dict) and items else "list"
    bounds = [f"{word} {field[key]:g}" for key, word in BOUNDS.items() if key in field]
    return " ".join(part for part in (TYPES.get(field.get("type", ""), "any"), " and ".join(bounds)) if part)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
