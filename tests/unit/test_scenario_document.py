"""Reading YAML: positions, and no file that ends in anything but data or a placed error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from simulator.errors import InputError
from simulator.scenario.document import MAX_BYTES, Origin, parse_document, read_document


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_document(text, "file.yaml")
    return str(caught.value)


def test_every_value_has_the_place_where_it_was_written() -> None:
    document = parse_document("a: 1\nb:\n  - {c: x}\n  - 2\n", "f.yaml")
    assert document.data == {"a": 1, "b": [{"c": "x"}, 2]}
    places = {path: (origin.line, origin.column) for path, origin in document.origins.items()}
    assert places == {"": (1, 1), "a": (1, 4), "b": (2, 1), "b[0]": (3, 5), "b[0].c": (3, 9), "b[1]": (4, 5)}
    assert str(Origin("f.yaml", 3, 9)) == "f.yaml:3:9"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: 1\nday: 2024-13-45\n", "file.yaml:2:6: day: is no timestamp (got 2024-13-45)"),
        ("n: !!int many\n", "file.yaml:1:4: n: is no int (got many)"),
        (f"n: {'9' * 5000}\n", f"file.yaml:1:4: n: is no int (got {'9' * 60}…)"),
        ("a: 1\nb: \x07\n", "file.yaml:2:4: not valid YAML: special characters are not allowed"),
        ("? [a, b]\n: 1\n", "file.yaml:1:3: a key must be a name"),
        ("a: " + "[" * 1000 + "]" * 1000, "is nested too deeply"),
        ("a: &a [*a]\n", "aliases grow without bound"),
        ("a: &a {<<: *a}\n", "file.yaml:1:4: a: aliases grow without bound"),
        ("a: &a {b: {<<: *a}}\n", "aliases grow without bound"),
        ("a: {<<: 1}\n", "file.yaml:1:9: a.<<: merges mappings: write an alias of one, as *base, or a list of them"),
        ("a: &a [1]\nb: {<<: *a}\n", "b.<<: merges mappings"),
        ("a: {<<: []}\n", "a.<<: merges mappings"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", "file.yaml:2:13: b.<<: is given twice"),
        ("a: &a {x: 1}\nb: {<<: *a, y: 1, y: 2}\n", "file.yaml:2:19: b.y: is given twice"),
        ("b: {<<: {x: 1, x: 2}}\n", "file.yaml:1:16: b.x: is given twice"),
        ("a: !!python/name:os.system x\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "file.yaml:2:1: not valid YAML"),
        ("run: {horizon_s:60}", "file.yaml:1:7: run.horizon_s:60: 'horizon_s:60' is a key without a value"),
        ("a: [{b:c, d: 1}]", "as no space follows its colon: write 'b: c'"),
        (
            "a: {b:{c: 1}}",
            "file.yaml:1:7: not valid YAML: expected ',' or '}', but got '{'; a space must follow a colon",
        ),
        ("a:\n  b:6\n  c: 1\n", "not allowed here; a space must follow the colon of 'b:6' above"),
    ],
    ids=lambda value: value[:12].strip(),
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, words: str) -> None:
    assert words in refused(text)


MERGED = """\
one: &one {kind: x, deep: {a: 1, b: 2}, list: [1]}
two: &two
  <<: *one
  kind: y
  more: 3
three: {own: 0, <<: [*one, *two], deep: {a: 9}}
four: {<<: *two, kind: z}
quoted: {"<<": 1}
"""


def test_merged_mappings_give_what_yaml_says_and_keep_their_places() -> None:
    """As the library's own constructor reads them: own keys first, the first mapping of a list, and nothing deep."""
    document = parse_document(MERGED, "f.yaml")
    found = document.data
    assert {key: found[key] for key in ("one", "two", "three", "four")} == {
        key: value for key, value in YAML(typ="safe", pure=True).load(MERGED).items() if key != "quoted"
    }
    assert found["three"] == {"own": 0, "deep": {"a": 9}, "kind": "x", "list": [1], "more": 3}
    assert found["quoted"] == {"<<": 1}
    places = {path: (origin.line, origin.column) for path, origin in document.origins.items()}
    assert (places["two.kind"], places["two.deep.b"], places["three.kind"]) == ((4, 9), (1, 37), (1, 18))
    assert (places["four.more"], places["three.deep.a"]) == ((5, 9), (6, 45))
    assert not [path for path in places if "<<" in path and not path.startswith("quoted")]
    found["four"]["deep"]["a"] = 7
    assert found["one"]["deep"]["a"] == found["two"]["deep"]["a"] == 1


def test_merges_that_grow_without_bound_are_refused() -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{k}: &a{k} {{<<: [*a{k - 1}, *a{k - 1}]}}" for k in range(1, 40))]
    assert "aliases grow without bound" in refused("\n".join(lines))


@pytest.mark.parametrize("text", ["a: {b: , c: 1}", "a: {http://x: 1}", "a: {'b:c': ''}", "a: {b:c: null}", "a: [b:c]"])
def test_a_colon_within_a_key_that_has_a_value_is_part_of_it(text: str) -> None:
    parse_document(text, "file.yaml")


def test_keys_are_the_text_that_was_written() -> None:
    assert parse_document("{null: 1, 1e3: 2, yes: 3}", "f").data == {"null": 1, "1e3": 2, "yes": 3}


def test_a_file_that_is_too_large_or_absent_is_named(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("#" * (MAX_BYTES + 1))
    absent = tmp_path / "none.yaml"
    for path, words in ((large, "is larger than"), (absent, "No such file"), (tmp_path, "it is a folder")):
        with pytest.raises(InputError, match=words) as caught:
            read_document(path)
        assert caught.value.problems[0].file == str(path)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab01.-: \n\t[]{},&*!|>'\"#%?~<=\x00é"), max_size=30))
@example("!!set {a}")
@example("!!float ")
@example("[&a 1, &a 2]")
@example("a: !!binary '*'")
@example("a: !!omap [b: 1]")
def test_any_text_is_data_or_an_input_error(text: str) -> None:
    document = None
    with suppress(InputError):
        document = parse_document(text, "fuzz")
    if document is not None:
        assert set(document.origins) == set(paths(document.data, ""))


def paths(node: Any, path: str) -> list[str]:
    if isinstance(node, dict):
        return [path, *(p for key, value in node.items() for p in paths(value, f"{path}.{key}" if path else key))]
    if isinstance(node, list):
        return [path, *(p for k, value in enumerate(node) for p in paths(value, f"{path}[{k}]"))]
    return [path]
