"""`python -m bench.mutants`: small wrong changes of the code, a sample of each room, and how many the tests notice.

Each change is made in a copy of the tree, and the tests that run the changed function are run, quickest first, until
one fails. What runs which function is recorded beforehand (`--record` does only that), again for tests that have
changed. Results are kept in build/mutants as they come: the same command goes on where it was interrupted, and tries
again what survived once tests have changed.

Why not mutmut or Cosmic Ray. mutmut 3 knows which tests call a function only within pytest's own process, where many
of ours start commands and workers; it changes nothing outside of functions, nor most decorated ones. Cosmic Ray changes
one place at a time, as here, but runs one command for each: all tests, minutes of both cores, where those that run a
function are mostly seconds. Neither draws a sample of each room that can be drawn again, within any larger one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from random import Random
from threading import Lock
from typing import Any

from ruamel.yaml import YAML
from tabulate import tabulate

from bench.mutants.changes import Change, changes, compiles
from bench.mutants.reach import digest
from bench.mutants.tracing import PACKAGES, ROOT
from bench.mutants.trial import Reach, Tree, reaches, record, stale, tests_of

BUILT = ROOT / "build/mutants"
EQUAL = Path(__file__).with_name("equal.yaml")
APART = {"calibrate/driver"}
"""What runs in vLLM's own process: tests on vLLM, which are not run here, hold most of it."""
OUTCOMES = ("noticed", "survived", "time", "not run", "equal")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("--rooms", default="", help="simulator/run,calibrate,…: all unless given")
    parser.add_argument("--sample", type=int, default=10, help="changes of each room")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most-s", type=float, default=120.0, help="CPU seconds of tests for one change, as recorded")
    parser.add_argument("--part", choices=["all", "quick"], default="all", help="of the tests, as pytest's")
    parser.add_argument("--record", action="store_true", help="only record what the tests run")
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="record nothing: tests without a record are run where they name the changed module",
    )
    given = parser.parse_args()
    folder = BUILT / f"reach-{given.part}"
    if not given.as_recorded:
        missing = stale(folder)
        if missing:
            record(folder, missing, given.jobs, given.part)
    if given.record:
        return 0
    unrecorded = stale(folder)
    known = [reach for reach in reaches(folder) if given.as_recorded or reach.test not in unrecorded]
    rooms = by_room()
    wanted = given.rooms.split(",") if given.rooms else list(rooms)
    unknown = [room for room in wanted if room not in rooms]
    if unknown:
        parser.error(f"no such room: {', '.join(unknown)}; there are {', '.join(rooms)}")
    drawn = [(room, each) for room in wanted for each in draw(room, rooms[room], given.sample, given.seed)]
    told = _through(drawn, known, given)
    _tell(told, given.seed, len(kernel_files()))
    if unrecorded:
        use = "run only where they name the changed module" if given.as_recorded else "left out: they fail unchanged"
        print(f"Files of tests without a record, {use}: {', '.join(unrecorded)}")
    for name in outdated(listed()):
        print(f"No such change any more, take it from {EQUAL.name}: {name}")
    return 0


def listed() -> dict[str, str]:
    """Changes of no effect by name, each with its reason."""
    return YAML(typ="safe").load(EQUAL) or {}


def outdated(names: Iterable[str]) -> list[str]:
    """Those of the names that are of no change, as the line of it is another by now."""
    names = list(names)
    found = {ROOT / name.partition(":")[0] for name in names}
    made = {
        each.name
        for path in found
        if path.is_file()
        for each in changes(path.relative_to(ROOT).as_posix(), path.read_bytes())
    }
    return [name for name in names if name not in made]


def kernel_files() -> set[Path]:
    """What kernels can read: changed there, all of them compile anew. Oracles and laws hold them to the reference."""
    from simulator.jit import kernel_sources

    return {path.resolve() for path in kernel_sources()} | {(ROOT / "simulator/jit.py").resolve()}


def by_room() -> dict[str, list[Path]]:
    """Sources by room: those of the simulator each, calibrate and dashboard as a whole but for `APART`."""
    kernels, rooms = kernel_files(), {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.resolve() not in kernels:
                inside = path.relative_to(ROOT).parts
                below = "/".join(inside[:2])
                is_room = len(inside) > 2 and (package == "simulator" or below in APART)
                room = below if is_room else package
                rooms.setdefault(room, []).append(path)
    return rooms


def draw(room: str, paths: list[Path], count: int, seed: int) -> list[Change]:
    """`count` changes that compile; a larger count draws the same ones and more."""
    found = [each for path in paths for each in changes(path.relative_to(ROOT).as_posix(), path.read_bytes())]
    Random(f"{seed} {room}").shuffle(found)
    return list(_first(found, count))


def _first(found: list[Change], count: int) -> Iterator[Change]:
    for each in found:
        if count > 0 and compiles(each.applied((ROOT / each.path).read_bytes())):
            count -= 1
            yield each


def _through(drawn: list[tuple[str, Change]], known: list[Reach], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Results of all that was drawn; each is written as soon as it is there."""
    equal = listed()
    kept, lock, trees = _Kept(BUILT / "results.jsonl"), Lock(), SimpleQueue[Tree]()
    for number in range(given.jobs):
        tree = Tree(BUILT / f"tree-{number}")
        tree.bring_up_to_date()
        trees.put(tree)

    def one(room: str, change: Change) -> dict[str, Any]:
        within, beyond = tests_of(change, known, given.most_s)
        found = {"room": room, "change": change.name, "line": change.line, "kind": change.kind}
        if change.name in equal:
            return {**found, "outcome": "equal", "by": equal[change.name]}
        if not within:
            return {**found, "outcome": "not run", "by": ""}
        key, tests = _key(change, given.part), _digest_of(reach.test for reach in within)
        told = kept.known(key, tests)
        if told is None:
            tree = trees.get()
            try:
                outcome, by = tree.verdict(change, within, given.part)
            finally:
                trees.put(tree)
            told = {**found, "outcome": outcome, "by": by, "tests": len(within), "left_out": len(beyond)}
            with lock:
                kept.add(key, tests, told)
                print(f"{outcome:8}  {change.path}:{change.line}  {change.name}", file=sys.stderr, flush=True)
        return told

    with ThreadPoolExecutor(given.jobs) as pool:
        return list(pool.map(lambda each: one(*each), drawn))


def _key(change: Change, part: str) -> str:
    """The same as long as the changed file is."""
    parts = [part, change.name, str(change.start), digest(ROOT / change.path)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _digest_of(tests: Iterable[str]) -> str:
    """The same as long as these files of tests are."""
    told = sorted(f"{test} {digest(ROOT / test)}" for test in tests)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]


class _Kept:
    """Results so far: what a test has noticed holds as long as that test is as it was, the rest as long as all are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, dict[str, Any]] = {}
        if path.is_file():
            whole = path.read_text("utf-8").rpartition("\n")[0]
            self.results = {told["key"]: told for told in map(json.loads, whole.splitlines())}

    def known(self, key: str, tests: str) -> dict[str, Any] | None:
        told = self.results.get(key)
        holds = told is not None and (told["with"] == tests or _noticed_with(told["by"]) == told["noticed_with"] != "")
        return told if holds else None

    def add(self, key: str, tests: str, told: dict[str, Any]) -> None:
        by = _noticed_with(told["by"]) if told["outcome"] == "noticed" else ""
        self.results[key] = {**told, "key": key, "with": tests, "noticed_with": by}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.results[key], ensure_ascii=False) + "\n")


def _noticed_with(by: str) -> str:
    """Digest of the file of tests that pytest names as failed; empty where it names none."""
    name = by.partition(" ")[2].partition("::")[0].partition(" ")[0]
    return _digest_of([name]) if name.endswith(".py") and (ROOT / name).is_file() else ""


def _tell(told: list[dict[str, Any]], seed: int, kernels: int) -> None:
    rows = []
    for room in dict.fromkeys(each["room"] for each in told):
        counts = {name: sum(each["room"] == room and each["outcome"] == name for each in told) for name in OUTCOMES}
        judged = sum(counts.values()) - counts["equal"]
        share = (counts["noticed"] + counts["time"]) / judged if judged else None
        rows.append({"room": room, "changes": sum(counts.values()), **counts, "score": share})
    (BUILT / f"score-{seed}.json").write_text(
        json.dumps({"seed": seed, "rooms": rows, "changes": told}, indent=1, ensure_ascii=False)
    )
    for each in told:
        if each["outcome"] in {"survived", "not run", "equal"}:
            print(f"{each['outcome']}: line {each['line']}, {each['change']}  {each['by']}".rstrip())
    print()
    shown = [{**row, "score": "-" if row["score"] is None else f"{row['score']:.0%}"} for row in rows]
    print(tabulate(shown, headers="keys"))
    print(f"\nSeed {seed}. Score: noticed, or without an end, of all but those of equal effect.")
    print(f"`not run`: by no test. {kernels} files that kernels are made of are left out.")


if __name__ == "__main__":
    sys.exit(main())
