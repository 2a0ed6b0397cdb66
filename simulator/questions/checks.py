"""Answers that contradict each other, each told at its question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from simulator.catalog.gpus import gpu
from simulator.catalog.models import model
from simulator.catalog.offers import gpu_offers
from simulator.catalog.servers import servers_of
from simulator.catalog.sites import site
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError, Problem
from simulator.questions.answers import (
    OF_BATCH,
    OWN_GPU,
    OWN_PRICES,
    OWN_SPEED,
    RATE,
    TOLD_BY_TRACE,
    Answers,
    plain_name,
    questions,
)
from simulator.scenario.named_files import is_config
from simulator.schema.base import LARGEST

_ABOVE_0 = (
    *("isl", "osl", "requests_per_user_per_hour", "ttft_s", "tpot_s", "months", "turns", "gpus_per_server"),
    *("usd_per_unit", *OWN_GPU, *OWN_SPEED, "batch_per_day", *OF_BATCH, "budget_usd_per_month"),
)
_LEAST_0 = (
    *("owned_gpus", "think_s", "rent_usd_per_gpu_hour", "server_usd"),
    *("api_input_usd", "api_cached_usd", "api_output_usd"),
)
_MOST = {"turns": 1_000, "gpus_per_server": 72}


def check_answers(answers: Answers, folder: Path) -> None:
    """Refuse numbers that mean nothing, unknown names, and answers that need another.

    Parameters
    ----------
    folder : from which the path of a config.json goes

    Raises
    ------
    InputError : all of them, each with the name of its question as its path
    """
    problems = [*_numbers(answers), *_unknown(answers, folder), *_missing(answers)]
    if problems:
        raise InputError(*problems)


def _numbers(answers: Answers) -> Iterator[Problem]:
    for asked in questions():
        name, value = asked.name, getattr(answers, asked.name)
        if not isinstance(value, int | float):
            continue
        got = f"{value:g}" if abs(value) <= LARGEST else None
        if not abs(value) <= LARGEST:
            yield Problem(f"must be at most {LARGEST:g} in size", path=name)
        elif name in _ABOVE_0 and not value > 0:
            yield Problem("must be above 0", path=name, got=got)
        elif name in _LEAST_0 and value < 0:
            yield Problem("must be at least 0", path=name, got=got)
        elif name in _MOST and value > _MOST[name]:
            yield Problem(f"must be at most {_MOST[name]:,}", path=name, got=got)
        elif name in ("cached_share", "other_share") and not 0 <= value < 1:
            yield Problem("must be from 0 to less than 1", path=name, got=got)
        elif name == "growth_per_month" and not value > -1:
            yield Problem("must be above -1", path=name, got=got)


def _unknown(answers: Answers, folder: Path) -> Iterator[Problem]:
    """Names that the catalog lacks."""
    catalogs: dict[str, Callable[[str], object]] = {"gpu": gpu, "site": site, "offer": token_offer}
    if not is_config(folder, answers.model):
        catalogs["model"] = model
    for name, find in catalogs.items():
        try:
            if (value := getattr(answers, name)) is not None:
                find(value)
        except InputError as error:
            yield from (replace(problem, path=name) for problem in error.problems)


def check_prices(answers: Answers) -> None:
    """Refuse a GPU of which the catalog lacks a price that no answer gives.

    Raises
    ------
    InputError : each lacking price, with the name of its question as its path
    """
    problems = list(_unpriced(answers))
    if problems:
        raise InputError(*problems)


def _unpriced(answers: Answers) -> Iterator[Problem]:
    name, place = gpu(answers.gpu).name, site(answers.site)
    if answers.server_usd is None and not servers_of(name):
        yield Problem(f"the catalog has no price of a server with {name}: say what one costs", path="server_usd")
    sellers = dict.fromkeys(one.site for one in gpu_offers() if (one.gpu, one.tier) == (name, "on_demand"))
    allowed = [one for one in sellers if answers.data_class in site(one).data_classes]
    if answers.rent_usd_per_gpu_hour is None and answers.data_class in place.data_classes and place.name not in sellers:
        other = f"a site that has one ({', '.join(allowed)})" if allowed else "another GPU"
        told = f"{place.name} has no price of {name}: say what one costs an hour, or {other}"
        yield Problem(told, path="rent_usd_per_gpu_hour")


def _missing(answers: Answers) -> Iterator[Problem]:
    rate = {name: getattr(answers, name) for name in RATE}
    if answers.currency is None:
        yield from (Problem("say of which currency it is (currency)", path=n) for n, v in rate.items() if v is not None)
    else:
        told = "a currency needs its rate to the dollar, the day of it and its source"
        yield from (Problem(told, path=name) for name, value in rate.items() if value is None or value == "")
    if answers.own_gpu is None:
        told = "say what that GPU is called (own_gpu)"
        yield from (Problem(told, path=name) for name in OWN_GPU if getattr(answers, name) is not None)
    elif not answers.own_gpu.strip() or len(answers.own_gpu) > 100:
        yield Problem("must be a name of 1 to 100 letters", path="own_gpu")
    elif answers.fp8_tflops is not None and answers.bf16_tflops is None:
        yield Problem("say its peak in BF16 too", path="bf16_tflops")
    if answers.gpus_per_server is not None and answers.server_usd is None:
        yield Problem("say what that server costs (server_usd)", path="gpus_per_server")
    if answers.trace is not None:
        told = "the log of the requests tells it (trace): leave it out"
        for asked in questions():
            if asked.name in TOLD_BY_TRACE and (got := getattr(answers, asked.name)) != asked.default:
                yield Problem(told, path=asked.name, got=str(got))
    elif answers.column is not None:
        yield Problem("say of which file (trace)", path="column")
    if answers.hours is not None and answers.busy != Answers().busy:
        yield Problem("hours of one's own say when it is busy (hours): leave it out", path="busy", got=answers.busy)
    if answers.name is not None and not plain_name(answers.name):
        yield Problem("must have letters or figures", path="name", got=answers.name)
    if answers.other_share and answers.other_data_class == answers.data_class:
        yield Problem("must be another kind than that of the rest (data_class)", path="other_data_class")
    yield from _of_api(answers)


def _of_api(answers: Answers) -> Iterator[Problem]:
    prices = {name: getattr(answers, name) for name in (*OWN_PRICES, "api_cached_usd")}
    if all(value is None for value in prices.values()):
        if answers.offer is None:
            told = "say what that API takes (api_input_usd, api_output_usd), or which it is (offer)"
            yield from (Problem(told, path=name) for name in OWN_SPEED if getattr(answers, name) is not None)
        return
    told = "prices of prompt and output tokens are said together"
    yield from (Problem(told, path=name) for name in OWN_PRICES if prices[name] is None)
    if answers.offer is None:
        told = "an API that is no offer of the catalog needs its speed"
        yield from (Problem(told, path=name) for name in OWN_SPEED if getattr(answers, name) is None)
        if answers.api_cached_usd is not None:
            told = "a cache has rules: say whose (offer)"
            yield Problem(told, path="api_cached_usd")
