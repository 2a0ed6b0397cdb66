"""Pinned versions: the lock has the same, each with hashes; and advisories apply as their ranges say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from bench.advisories import __main__ as advisories
from bench.advisories.__main__ import applies, findings, pinned

ROOT = Path(__file__).resolve().parents[2]


def test_the_lock_has_the_pinned_versions_and_hashes_of_each() -> None:
    locked = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    pins = pinned()
    assert len(locked) > 100
    for entry in locked:
        name, version = re.match(r"([\w.-]+)==([\w.+!]+)", entry).groups()  # type: ignore[union-attr]
        assert Version(version) in pins[name], name
        assert "--hash=sha256:" in entry, name


@pytest.mark.parametrize(
    ("version", "does"),
    [("1.1", False), ("1.2", True), ("1.9.9", True), ("2.0", False), ("2.5", True), ("2.6", True), ("2.7", False)],
)
def test_an_advisory_applies_from_its_introduction_to_its_fix(version: str, does: bool) -> None:
    first = [{"introduced": "1.2"}, {"fixed": "2.0"}]
    second = [{"introduced": "2.5"}, {"last_affected": "2.6"}]
    assert applies({"ranges": [first, second]}, Version(version)) is does


def test_the_list_of_advisories_stays_where_no_newer_one_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is interrupted, or the checkout is none."""
    known = tmp_path / "known.yaml"
    known.write_text("older")
    monkeypatch.setattr(advisories, "KNOWN", known)
    monkeypatch.setattr(sys, "argv", ["advisories", "--update", str(tmp_path)])

    def ends(checkout: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(advisories, "updated", ends)
    with pytest.raises(KeyboardInterrupt):
        advisories.main()
    assert known.read_text() == "older"


def test_what_applies_is_told_by_package_version_and_every_name_of_it() -> None:
    known = {"advisories": {"a": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "versions": ["1.0", "not one"]}]}}
    pins = {"a": {Version("1.0.0"), Version("1.1")}, "b": {Version("1.0")}}
    assert list(findings(known, pins)) == ["a 1.0.0: PYSEC-1, CVE-1"]
