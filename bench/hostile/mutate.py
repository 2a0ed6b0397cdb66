"""Changes to trees of plain data and to the bytes of files, drawn at random."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from random import Random
from typing import Any

NUMBERS = (
    *(0, -1, 1, 2, 0.5, 0.0, -0.0, 1e-300, 1e-12, 1e12, 1e300, -1e300, 10**30, 2**31, 2**31 - 1, 2**63, 10**400),
    *(float("nan"), float("inf"), float("-inf"), 3.7, 1_000_000, 65_536, 1e6, 1e9),
)
OTHERS = (
    *(
        None,
        True,
        False,
        "",
        "auto",
        "x",
        "nan",
        "1e3",
        "-1",
        "\0",
        "\x1b[31m",
        "é" * 50,
        "x" * 5000,
        "../..",
        "/etc/passwd",
    ),
    *([], {}, [None], [[]], {"": 1}, {"kind": "poisson"}, {"kind": None}, [1, 2, 3], ["a"], {"a": {"b": {}}}, [{}]),
    *("2026-01-01", "mon 25:00", "2026-02-31", "9999-12-31 23:00", "0001-01-01", "24-8", "__proto__", "."),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything below a node."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def at(node: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for step in path:
        node = node[step]
    return node


def mutated(tree: Any, rng: Random, most: int = 3) -> Any:
    """A copy with one to `most` changes, mostly one, at places drawn at random."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, rng.randint(1, most)))):
        known = list(places(tree))
        if not known:
            return rng.choice(OTHERS)
        _change(tree, rng.choice(known), known, rng)
    return tree


EDGES = (0, 1, 1e-12, 1e-6, 1e6, 2**31 - 1, 2**31, 2**32, 10**12, 2**53, 10**15)


def at_an_edge(tree: Any, rng: Random) -> Any:
    """A copy in which one number, rarely two, is as small or as large as numbers may be."""
    tree = copy.deepcopy(tree)
    for path in rng.sample(known := _numbers(tree), min(len(known), rng.choice((1, 1, 1, 2)))):
        parent = at(tree, path[:-1])
        whole = isinstance(parent[path[-1]], int)
        parent[path[-1]] = rng.choice([edge for edge in EDGES if not whole or edge == int(edge)])
    return tree


def _numbers(tree: Any) -> list[tuple[Any, ...]]:
    return [path for path in places(tree) if type(at(tree, path)) in (int, float) and path != ("schema_version",)]


def rescaled(tree: Any, rng: Random) -> Any:
    """A copy with other numbers at one to three places that have one; most are small or large beyond sense."""
    tree = copy.deepcopy(tree)
    for path in rng.sample(numbers := _numbers(tree), min(len(numbers), rng.randint(1, 3))):
        parent = at(tree, path[:-1])
        old = parent[path[-1]]
        new = old * 10.0 ** rng.choice((-6, -3, -1, 1, 2, 3, 4, 6))
        parent[path[-1]] = (
            rng.choice(NUMBERS) if rng.random() < 0.15 else math.ceil(new) if isinstance(old, int) else new
        )
    return tree


def _change(tree: Any, path: tuple[Any, ...], known: list[tuple[Any, ...]], rng: Random) -> None:
    parent, key = at(tree, path[:-1]), path[-1]
    old = parent[key]
    match rng.randrange(9):
        case 0:
            del parent[key]
        case 1:
            parent[key] = copy.deepcopy(at(tree, rng.choice(known)))
        case 2:
            parent[key] = [old] if rng.random() < 0.5 else {"x": old}
        case 3 if isinstance(parent, dict):
            parent[str(key) + rng.choice(("s", "_", " ", "\n"))] = parent.pop(key)
        case 4 if isinstance(parent, list):
            parent += [copy.deepcopy(old) for _ in range(rng.choice((1, 2, 50)))]
        case 5 | 6 if isinstance(old, int | float) and not isinstance(old, bool):
            parent[key] = _scaled(old, rng)
        case _:
            parent[key] = copy.deepcopy(rng.choice(NUMBERS if rng.random() < 0.6 else OTHERS))


def _scaled(old: float, rng: Random) -> float:
    factor = 10.0 ** rng.choice((-12, -6, -3, -1, 1, 2, 3, 4, 6, 9, 12)) * rng.choice((1, 1, 1, -1))
    try:
        new = old * factor
    except OverflowError:
        return -old
    return int(new) if isinstance(old, int) and abs(new) < 2**62 and rng.random() < 0.8 else new


def text_of(tree: Any) -> str:
    """Tree as YAML in the form of JSON, with YAML's words for what JSON lacks."""
    text = json.dumps(tree, allow_nan=True)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


def json_of(tree: Any) -> bytes:
    """Tree as JSON, with NaN and Infinity as Python and JavaScript write them."""
    return json.dumps(tree, allow_nan=True).encode()


def damaged(content: bytes, rng: Random) -> bytes:
    """Bytes of a file cut, flipped, repeated or replaced."""
    if not content:
        return rng.randbytes(rng.randrange(100))
    place = rng.randrange(len(content))
    match rng.randrange(8):
        case 0:
            return content[:place]
        case 1:
            return content[place:]
        case 2:
            return content[:place] + rng.randbytes(rng.randint(1, 8)) + content[place:]
        case 3:
            return (
                content[:place]
                + rng.choice((b"\0", b"\xff", b'"', b"[", b"{", b",", b"\n", b"9" * 400, b"[" * 5000))
                + content[place:]
            )
        case 4:
            end = min(len(content), place + rng.randint(1, 64))
            return content[:place] + content[end:]
        case 5:
            return content + content
        case 6:
            return rng.choice(
                (
                    b"",
                    b"\0",
                    b"\xff\xfe",
                    b"[]",
                    b"{}",
                    b"null",
                    b"1",
                    b'"x"',
                    b"[" * 100_000,
                    b"PAR1",
                    b"\x1f\x8b\x08\0",
                )
            )
        case _:
            changed = bytearray(content)
            for _ in range(rng.randint(1, 5)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            return bytes(changed)
