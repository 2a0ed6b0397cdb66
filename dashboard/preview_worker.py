"""A warm process for What-if: reads a request a line, writes an answer a line."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dashboard.compiling import watch
from dashboard.limits import limit_memory
from dashboard.previews import PREVIEW_REQUESTS, kept_of
from dashboard.processes import answer_lines
from dashboard.workspace import shipped
from simulator.decide.why import sentence
from simulator.errors import Problem, ServecastError
from simulator.money import shown_in
from simulator.resolve.sizes import at_start
from simulator.results.bundle import Bundle, finite, read_bundle
from simulator.results.scratch import scratch
from simulator.run.excerpt import Excerpt, excerpt_of
from simulator.run.what_if import Kept, Summaries, only_prices_differ, repriced, served_in, stays_alike, words_of
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.store import Store

_STORE_BYTES = 200_000_000
_KEPT = 8
"""Unchanged runs whose side is kept."""
_NICE = 5
"""Behind the pages of whoever reads, before whole runs."""
Json = dict[str, Any]


class Previewer:
    """Answers what a change of a run does.

    Parameters
    ----------
    store : of what was simulated before
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plain: dict[tuple[str, str], tuple[Excerpt, Kept, Summaries]] = {}

    def answer(self, request: Json) -> Json:
        """`words`, and `excerpt` with `plain` and `changed` summaries, or `priced` bills of both sides."""
        try:
            found: Json = finite(self._answer(Path(request["folder"]), request["stamp"], request["sets"]))
        except ServecastError as error:
            return {"problems": [asdict(problem) for problem in getattr(error, "problems", (Problem(str(error)),))]}
        return found

    def _answer(self, folder: Path, stamp: str, sets: list[str]) -> Json:
        bundle = read_bundle(folder)
        file = bundle.scenario_file
        loaded, changed = load_scenario(file), load_scenario(file, sets=sets)
        with shown_in(loaded.currency):
            return self._held_against(loaded, changed, bundle, stamp)

    def _held_against(self, loaded: LoadedScenario, changed: LoadedScenario, bundle: Bundle, stamp: str) -> Json:
        """The run changed beside itself, in words of the currency that it is shown in."""
        if stays_alike(bundle.decision) and only_prices_differ(loaded, changed):
            sides = {side: repriced(one, bundle) for side, one in (("plain", loaded), ("changed", changed))}
            return {
                "words": sentence([one.contender for one in sides["changed"].values()]),
                "priced": {
                    side: {
                        name: {"usd_per_month": one.contender.usd_per_month, "usd_by_category": one.usd_by_category}
                        for name, one in found.items()
                    }
                    for side, found in sides.items()
                },
            }
        excerpt, kept, before = self._unchanged(bundle, stamp)
        after = served_in(changed, excerpt, self._store, kept)
        return {
            "words": words_of(after, excerpt),
            "excerpt": asdict(excerpt) | {"words": excerpt.words, "has_all_time": excerpt.has_all_time},
            "plain": before,
            "changed": after,
        }

    def _unchanged(self, bundle: Bundle, stamp: str) -> tuple[Excerpt, Kept, Summaries]:
        key = str(bundle.path), stamp
        if key not in self._plain:
            loaded = load_scenario(bundle.scenario_file)
            excerpt, kept = kept_of(loaded, bundle.decision)
            self._plain[key] = excerpt, kept, served_in(loaded, excerpt, self._store, kept)
            if len(self._plain) > _KEPT:
                del self._plain[next(iter(self._plain))]
        return self._plain[key]


def main() -> None:
    """Answer until the other side is gone."""
    limit_memory()
    os.nice(_NICE)
    with scratch() as folder:
        answer_lines(Previewer(Store(Path(folder), _STORE_BYTES)).answer, warm_up, watch)


def warm_up() -> Summaries:
    """Summaries of a few seconds of a shipped scenario: all that a run needs is loaded before somebody waits for it."""
    loaded = load_scenario(shipped() / "quickstart.yaml", sets=["run.horizon_s=10", "run.warmup_s=0"])
    small = at_start(loaded)
    return served_in(small, excerpt_of(small, PREVIEW_REQUESTS), Store())


if __name__ == "__main__":
    main()
