"""Hours of the week with a load of their own: those of a choice, or one's own, as a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from simulator.errors import InputError, Problem
from simulator.questions.answers import BATCH, Answers, Busy
from simulator.scenario.week import begin_and_length_s, week_spans, week_time_words
from simulator.schema.base import LARGEST
from simulator.schema.clock import WeekWindow
from simulator.units import SECONDS_PER_HOUR, SECONDS_PER_WEEK

MOST_KINDS = 20
"""Each kind of hours is simulated by itself."""
_ELSE = "else"
_FORM = "as mon-fri 8-18 1, sat 10-14 0.4 or 40%, else 0.05, with a semicolon between them"


@dataclass(frozen=True, slots=True)
class Kind:
    """Hours of the week, and their load as a share of that of a busy hour.

    Attributes
    ----------
    window : None for all hours that no other kind has
    """

    window: WeekWindow | None
    load: float

    @property
    def words(self) -> str:
        return _ELSE if self.window is None else f"{self.window.days} {self.window.hours}"


def _of_choice(*kinds: tuple[str, str, float]) -> tuple[Kind, ...]:
    return tuple(Kind(WeekWindow(days=days, hours=hours), load) for days, hours, load in kinds)


_CHOICES: dict[Busy, tuple[Kind, ...]] = {
    "always": (),
    "daytime": _of_choice(("mon-sun", "8-22", 1.0), ("mon-sun", "22-8", 0.25)),
    "working_hours": _of_choice(("mon-fri", "8-18", 1.0), ("mon-fri", "18-8", 0.1), ("sat-sun", "0-24", 0.1)),
}


def kinds_of(answers: Answers) -> tuple[Kind, ...]:
    """Kinds of hours, the busiest first; none where all hours are alike.

    Raises
    ------
    InputError : hours of one's own that cannot be read, overlap, or have no load
    """
    return _CHOICES[answers.busy] if answers.hours is None else own_kinds(answers.hours)


@cache
def own_kinds(text: str) -> tuple[Kind, ...]:
    """As `kinds_of`, of a text like `mon-fri 8-18 1; sat 10-14 40%; else 0.05`; without `else` nobody asks then."""
    parts = [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
    kinds = [_kind(part) for part in parts]
    if not parts or len(kinds) > MOST_KINDS:
        raise _problem(f"must be 1 to {MOST_KINDS} kinds of hours, {_FORM}", str(len(kinds)))
    named, others = [each for each in kinds if each.window], [each for each in kinds if not each.window]
    if len(others) > 1:
        raise _problem("says twice what holds for all other hours", _ELSE)
    _check_apart(named)
    if left_s(named):
        named.append(others[0] if others else Kind(None, 0.0))
    elif others:
        raise _problem("no hour of the week is left for else: leave it out", others[0].words)
    if not any(each.load for each in named):
        raise _problem("somebody has to ask: no hours have a load above 0")
    return tuple(sorted(named, key=lambda each: -each.load))


def _kind(part: str) -> Kind:
    found = re.fullmatch(r"(.+?)\s+(\d*\.?\d+(?:e-?\d+)?)\s*(%?)", part.lower())
    if found is None:
        raise _problem(f"cannot be read: must be {_FORM}", part)
    place, load = found[1], float(found[2]) / (100 if found[3] else 1)
    if load > LARGEST:
        raise _problem(f"must be at most {LARGEST:g}", part)
    if place == _ELSE:
        return Kind(None, load)
    days, _, hours = place.rpartition(" ")
    try:
        window = WeekWindow(days=re.sub(r"\s*([-,])\s*", r"\1", days).strip(), hours=hours)
        begin_and_length_s(window)
    except (ValueError, InputError) as error:
        raise _problem(f"names no days and hours: must be {_FORM}", part) from error
    return Kind(window, load)


def _check_apart(kinds: Sequence[Kind]) -> None:
    spans = sorted((span, each.words) for each in kinds if each.window for span in week_spans(each.window))
    for ((_, end_s), one), ((start_s, _), other) in pairwise(spans):
        if start_s < end_s:
            raise _problem(f"{one} and {other} overlap at {week_time_words(start_s)}: each hour has one load")


def left_s(kinds: Sequence[Kind]) -> float:
    """Seconds of the week in none of the windows."""
    return SECONDS_PER_WEEK - sum(hours_per_week(each) * SECONDS_PER_HOUR for each in kinds if each.window)


def hours_per_week(kind: Kind) -> float:
    """Of a kind that has a window."""
    assert kind.window is not None
    return sum(end_s - start_s for start_s, end_s in week_spans(kind.window)) / SECONDS_PER_HOUR


def longest_gap(kinds: Sequence[Kind]) -> str:
    """When the longest time without a window begins, as `sat 0:00`."""
    spans = sorted(span for each in kinds if each.window for span in week_spans(each.window))
    if not spans:
        return "mon 0:00"
    following = [*(start_s for start_s, _ in spans[1:]), spans[0][0] + SECONDS_PER_WEEK]
    gaps = [(start_s - end_s, end_s) for (_, end_s), start_s in zip(spans, following, strict=True)]
    return week_time_words(max(gaps, key=lambda gap: gap[0])[1])


def mean_share(answers: Answers) -> float:
    r"""Mean load of a week as a share of that of a busy hour: $\sum_k h_k \ell_k / 168$ over the kinds of hours."""
    kinds = kinds_of(answers)
    if not kinds:
        return 1.0
    hours = [left_s(kinds) / SECONDS_PER_HOUR if each.window is None else hours_per_week(each) for each in kinds]
    week_h = SECONDS_PER_WEEK / SECONDS_PER_HOUR
    return sum(hours_k * each.load for hours_k, each in zip(hours, kinds, strict=True)) / week_h


def period_lines(answers: Answers) -> list[str]:
    """Periods of the study."""
    kinds = kinds_of(answers)
    lines = ["  periods:"] if kinds else []
    for k, each in enumerate(kinds):
        if each.window is None:
            when = f"name: others, start: {longest_gap(kinds)}"
        else:
            name = "busy" if k == 0 else f"quiet_{k}" if answers.hours is None else f"hours_{k + 1}"
            when = f'name: {name}, days: "{each.window.days}", hours: {each.window.hours}'
            when = when if "," in each.window.days else when.replace('"', "")
        alike = f", load_by_class: {{{BATCH}: 1}}" if answers.batch_per_day else ""
        lines.append(f"    - {{{when}, load: {each.load:g}{alike}}}")
    return lines


def _problem(message: str, got: str | None = None) -> InputError:
    return InputError(Problem(message, path="hours", got=got))
