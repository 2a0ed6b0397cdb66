"""`servecast new`: a scenario made of answers to questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter


def new(
    file: Path,
    /,
    *,
    model: str | None = None,
    quantization: str | None = None,
    users: int | None = None,
    requests_per_user_per_hour: float | None = None,
    rate_rps: float | None = None,
    spend_usd_per_month: float | None = None,
    isl: int | None = None,
    osl: int | None = None,
    cached_share: float | None = None,
    busy: Literal["always", "daytime", "working_hours"] | None = None,
    data_class: Literal["public", "internal", "confidential", "restricted"] | None = None,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    gpu: str | None = None,
    owned_gpus: int | None = None,
    site: str | None = None,
    offer: str | None = None,
    growth_per_month: float | None = None,
    months: float | None = None,
    ask: Annotated[bool, Parameter(negative="--no-ask")] = True,
) -> int:
    """Write a scenario from answers: what is served, to how many, when, what is there already, where data may go.

    What is not given is asked on a terminal, and has a default; the file says which defaults it took, and why.

    For example:

        servecast new mine.yaml
        servecast new mine.yaml --model qwen3-32b --users 300 --owned-gpus 16 --growth-per-month 0.08
        servecast new mine.yaml --spend-usd-per-month 180000 --offer openai/gpt-4o-mini --cached-share 0.4 --no-ask

    Parameters
    ----------
    file
        File to write; one that is there stays.
    model
        Model of the catalog, or a config.json.
    quantization
        Format of the weights, as fp8, awq or none.
    users
        People who use it.
    requests_per_user_per_hour
        Requests of one of them in a busy hour.
    rate_rps
        Instead of users: requests per second in a busy hour.
    spend_usd_per_month
        Instead: what is paid for tokens a month, at the API that --offer names.
    isl
        Mean tokens of a prompt.
    osl
        Mean tokens of an answer.
    cached_share
        Share of the prompts' tokens that is the same text each time.
    busy
        When they ask: always, daytime (8 to 22 o'clock) or working_hours (Monday to Friday, 8 to 18).
    data_class
        Where the data may go: public, internal, confidential or restricted.
    ttft_s
        Seconds to the first token that 95 of 100 requests are to keep.
    tpot_s
        Seconds for each further token that 95 of 100 requests are to keep.
    gpu
        GPU of the catalog.
    owned_gpus
        Number of them that are there already.
    site
        Where GPUs would be rented.
    offer
        Token API that would be used instead, as together/llama-3.3-70b.
    growth_per_month
        Growth of the load each month, as a share.
    months
        Months that are decided on.
    ask
        On a terminal, ask what was not given.
    """
    import sys

    from simulator.errors import InputError, Problem
    from simulator.questions.answers import Answers, questions
    from simulator.questions.write import scenario_text
    from simulator.results.files import write_text

    values = dict(locals())
    if file.exists():
        raise InputError(Problem("is there already: name another file", str(file)))
    given = {question.name: values[question.name] for question in questions() if values[question.name] is not None}
    if ask and sys.stdin.isatty():
        given |= _asked(given)
    write_text(file, scenario_text(Answers(**given), file.parent))
    print(f"{file} is written; next:\n  servecast run {file}")
    return 0


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """Answers to what was not given, typed in; an empty answer leaves the default."""
    from simulator.errors import InputError
    from simulator.questions.answers import AMOUNTS, questions

    found: dict[str, Any] = {}
    for question in questions():
        answered = {*given, *found}
        if question.name in answered or (question.name in AMOUNTS and answered & set(AMOUNTS)):
            continue
        while True:
            text = input(f"{question.text} [{question.shown_default}] ").strip()
            if not text:
                break
            try:
                found[question.name] = question.parse(text)
                break
            except InputError as error:
                print(f"  {error}")
    return found
