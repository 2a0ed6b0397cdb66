"""`python -m bench.hostile`: thousands of inputs that nobody should give; exit codes 0, 1 and 2 alone are right.

Every case follows from the seed, its kind and its number: `--only valid:17` does it again. A process of its own goes
through the cases one after another; where a case ends or hangs it, the next one goes on behind that case.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import ALLOWED, MOST_DONE_S, MOST_WAITED_S, attempt
from bench.hostile.cases import KINDS

HANGS_S = MOST_WAITED_S + MOST_DONE_S


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="about how long")
    parser.add_argument("--cases", type=int, default=10**9, help="at most")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--only", action="append", default=[], help="KIND:NUMBER, told, and its files kept")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    if given.only:
        plan = [(kind, int(number)) for kind, _, number in (each.partition(":") for each in given.only)]
    else:
        rng, counts, plan = Random(f"plan {given.seed}"), collections.Counter(), []
        for kind in rng.choices(kinds, [KINDS[kind][1] for kind in kinds], k=min(given.cases, 100_000)):
            plan.append((kind, counts[kind]))
            counts[kind] += 1
    until = time.monotonic() + given.seconds if not given.only else float("inf")
    found, done = _through(plan, given.seed, until, bool(given.only))
    _tell(found, done)
    return 1 if found else 0


def _through(
    plan: list[tuple[str, int]], seed: int, until: float, aloud: bool
) -> tuple[dict[str, list[Any]], list[Any]]:
    """Findings by kind of fault, and how each case ended."""
    context = multiprocessing.get_context("fork")
    found: dict[str, list[Any]] = {}
    done: list[Any] = []
    while len(done) < len(plan) and time.monotonic() < until:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(plan, len(done), seed, until, aloud, theirs))
        worker.start()
        theirs.close()
        try:
            while True:
                ended = ours.recv()
                done.append(ended)
                if ended["fault"]:
                    found.setdefault(ended["fault"], []).append(ended)
        except EOFError:
            worker.join()
        if worker.exitcode == 0:
            break
        kind, number = plan[len(done)]
        ended = {
            "case": f"{kind}:{number}",
            "kind": kind,
            "code": worker.exitcode,
            "seconds": 0.0,
            "text": "",
            "mib": 0,
            "fault": f"the process ended with {worker.exitcode}",
        }
        done.append(ended)
        found.setdefault(ended["fault"], []).append(ended)
    return found, done


def _work(plan: list[tuple[str, int]], first: int, seed: int, until: float, aloud: bool, pipe: Any) -> None:
    home = Path(tempfile.mkdtemp(prefix="hostile-"))
    os.chdir(home)
    try:
        for kind, number in plan[first:]:
            if time.monotonic() > until:
                break
            folder = home / "case"
            folder.mkdir()
            faulthandler.dump_traceback_later(HANGS_S, exit=True)
            run = KINDS[kind][0](Random(f"{seed} {kind} {number}"), folder)
            ended = attempt(run)
            faulthandler.cancel_dump_traceback_later()
            if aloud:
                print(f"== {kind}:{number}: exit {ended.code}, {ended.seconds:.1f} s, {ended.kind}\n{ended.text}")
                print(f"   its files: {_kept(folder, f'{kind}-{number}')}")
            mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            text = ended.text[-3000:] if ended.kind else ""
            pipe.send(
                {"case": f"{kind}:{number}", "kind": kind, "code": ended.code, "seconds": ended.seconds}
                | {"fault": ended.kind, "text": text, "mib": mib}
            )
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)


def _kept(folder: Path, name: str) -> Path:
    """A copy of a case's files, to look at."""
    kept = Path(tempfile.mkdtemp(prefix=f"hostile-{name}-")) / folder.name
    shutil.copytree(folder, kept, symlinks=True, ignore=_no_pipes)
    return kept


def _no_pipes(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_fifo()]


def _tell(found: dict[str, list[Any]], done: list[Any]) -> None:
    for kind in KINDS:
        mine = [ended for ended in done if ended["kind"] == kind]
        if mine:
            codes = collections.Counter(ended["code"] for ended in mine)
            shown = ", ".join(f"{n} × exit {code}" for code, n in sorted(codes.items()))
            print(f"{kind:12} {len(mine):6} cases, longest {max(e['seconds'] for e in mine):5.1f} s: {shown}")
    print(f"{len(done)} cases, at most {max((e['mib'] for e in done), default=0)} MiB")
    for fault, cases in sorted(found.items(), key=lambda each: -len(each[1])):
        print(f"\n{len(cases)} × {fault}: {', '.join(each['case'] for each in cases[:5])}")
        print("\n".join(f"    {line[:200]}" for line in cases[0]["text"].strip().splitlines()[-9:]))
    if not found:
        print(f"every case ended with one of {', '.join(map(str, ALLOWED))}")


if __name__ == "__main__":
    sys.exit(main())
