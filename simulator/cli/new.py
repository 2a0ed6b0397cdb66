"""`servecast new`: a scenario made of answers to questions."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import asdict, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from simulator.questions.answers import Asked, is_asked, plain_name, questions


def _option(asked: Asked) -> tuple[str, Any, None]:
    """An option that is left open unless given."""
    default = f" Unless given {asked.shown_default}." if asked.default is not None or asked.why else ""
    return asked.name, Annotated[asked.hint | None, Parameter(help=f"{asked.text}{default}")], None


_WORTH_A_WORD_S = 5.0
"""That a log took to read."""
_FILES = ("model", "trace")
"""Answers that may name a file."""
Given: Any = make_dataclass("Given", map(_option, questions()), frozen=True, namespace={"__module__": __name__})
"""The questions as options."""


def new(
    file: Path,
    /,
    *,
    given: Annotated[Given, Parameter(name="*")] = Given(),  # noqa: B008
    ask: Annotated[bool, Parameter(negative="--no-ask")] = True,
) -> int:
    """Write a scenario from answers: what is served, to how many, when, what is there already, where data may go.

    A model is a name of the catalog, or the path of a config.json. What is not given is asked on a terminal, and has
    a default; the file says which defaults it took, and why.

    For example:

        servecast new mine.yaml
        servecast new mine.yaml --model qwen3-32b --users 300 --owned-gpus 16 --growth-per-month 0.08
        servecast new mine.yaml --currency EUR --usd-per-unit 1.08 --rate-date 2026-11-20 --rate-source "ECB"
        servecast new mine.yaml --users 300 --turns 12 --think-s 15 --other-share 0.2 --other-gpus b200,l40s
        servecast new mine.yaml --users 300 --hours "mon-fri 7-19 1; sat 9-13 40%; else 0.05" --name "support chat"
        servecast new mine.yaml --users 300 --batch-per-day 20000 --batch-isl 3000 --batch-osl 300
        servecast new mine.yaml --trace log.csv --column "arrival_s=at, input_tokens=in, output_tokens=out"
        servecast new mine.yaml --own-gpu "our card" --gpu rtx-5090 --memory-gib 25.2 --bandwidth-gb-per-s 1344
        servecast new mine.yaml --spend-usd-per-month 180000 --offer openai/gpt-4o-mini --cached-share 0.4 --no-ask

    Parameters
    ----------
    file
        File to write; one that is there stays.
    ask
        On a terminal, ask what was not given.
    """
    import sys

    from simulator.errors import InputError, Problem
    from simulator.questions.write import scenario_text
    from simulator.results.files import write_text

    if file.exists() or file.is_symlink():
        raise InputError(Problem("is there already: name another file", str(file)))
    answers = {name: value for name, value in asdict(given).items() if value is not None}
    if ask and sys.stdin.isatty():
        answers |= _asked(answers)
    answers |= {name: _from(file.parent, answers[name]) for name in _FILES if name in answers}
    began_s = time.monotonic()
    text = scenario_text(answers, file.parent, plain_name(file.stem) or "new")
    write_text(file, text)
    took_s = time.monotonic() - began_s if "trace" in answers else 0.0
    try:
        _check(file)
    except InputError as error:
        file.unlink()
        placeless = (replace(one, file=None, line=None, column=None) for one in error.problems)
        raise InputError("the answers make no scenario that holds", *placeless) from error
    again = f"\nwhich reads the log once more: here that took {took_s:.0f} s" if took_s > _WORTH_A_WORD_S else ""
    for line in text.splitlines():
        if line.startswith("# left out"):
            print(f"! {line.removeprefix('# ')}")
    print(f"{file} is written; next:\n  servecast run {shlex.quote(str(file))}{again}")
    return 0


def _from(folder: Path, name: str) -> str:
    """A file that is named from the folder where the command runs, as the scenario names it; all else as it is."""
    if (folder / name).is_file() or not Path(name).is_file():
        return name
    return os.path.relpath(name, folder)


def _check(file: Path) -> None:
    """Refuse what `servecast validate` refuses."""
    from simulator.errors import collect
    from simulator.resolve.sizes import at_start
    from simulator.resolve.terms import resolve_terms
    from simulator.resolve.topology import check_catalog_names, plan_topologies
    from simulator.scenario.load import load_scenario

    loaded = load_scenario(file)
    check_catalog_names(loaded)
    collect(resolve_terms, plan_topologies(at_start(loaded)))


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """Answers to what was not given, typed in; an empty answer leaves the default."""
    from simulator.errors import InputError

    found: dict[str, Any] = {}
    for question in questions():
        answers = {**given, **found}
        if question.name in answers or not is_asked(question.name, answers):
            continue
        while text := input(f"{question.text} [{question.shown_default}] ").strip():
            try:
                found[question.name] = question.parse(text)
                break
            except InputError as error:
                print(f"  {error}")
    return found
