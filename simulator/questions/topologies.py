"""Ways to serve what was asked for: own, rented, from a token API, and both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.catalog.gpus import gpu
from simulator.catalog.offers import gpu_offer
from simulator.catalog.sites import site
from simulator.catalog.tokens import token_offer
from simulator.errors import InputError, Problem
from simulator.questions.answers import OWN_GPU, Answers
from simulator.questions.fit import Fit, fit_of
from simulator.questions.log import read_log
from simulator.schema.base import DataClass
from simulator.schema.hardware import HardwareSettings

OWN_SITE = "datacentre"
API = "api"
OWN_API = "an API of your own prices"
Lines = list[str]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where requests may go besides one's own servers: of both kinds of data, and of the first kind alone."""

    site: tuple[bool, bool]
    api: tuple[bool, bool]


def has_api(answers: Answers) -> bool:
    """Whether a token API is compared: an offer of the catalog, or one of the user's own prices."""
    return answers.offer is not None or answers.api_input_usd is not None


def topology_lines(answers: Answers, fit: Fit, folder: Path) -> Lines:
    """The topologies, behind what is said of servers and of what is left out.

    Raises
    ------
    InputError : fewer GPUs than a replica takes, an unknown GPU, a model that does not fit another GPU
    """
    if answers.owned_gpus and answers.owned_gpus < fit.tp:
        told = f"a replica of {answers.model} takes {fit.tp} {answers.own_gpu or answers.gpu}"
        raise InputError(Problem(told, path="owned_gpus", got=str(answers.owned_gpus)))
    log = read_log(answers, folder)
    talks = answers.turns > 1 or (log is not None and log.talks)
    own = _pool(answers, fit, "base", OWN_SITE, f"{_owned(answers, fit)}, billing: owned", talks)
    rented = _pool(answers, fit, "rented", answers.site, _rented(answers), talks)
    api = _api(answers) if has_api(answers) else []
    places = _places(answers)
    found: list[tuple[str, Lines]] = [("on_prem", [*_why(answers.own_gpu or fit.gpu, fit), "    pools:", own])]
    if places.site[0]:
        found.append(("cloud", ["    pools:", rented]))
    if places.api[0]:
        found.append((API, api))
    own_and_api, own_and_rented = ["    pools:", own, *api], ["    pools:", own, rented]
    when = "when: {outstanding_per_replica: auto}"
    beside = [(API, own_and_api, places.api[1]), ("rented", own_and_rented, places.site[1])]
    hybrids = [
        [*lines, f"    routing: {{kind: overflow, order: [base, {burst}], {when}}}"]
        for burst, lines, may in beside
        if may
    ]
    splits = [
        [
            *lines,
            f"    # {answers.data_class} data go to {what}; what may not leave goes to base.",
            f"    routing: {{kind: overflow, order: [{first}, base]}}",
        ]
        for (first, lines, may), what, all_may in zip(
            beside, ("the API", "rented GPUs"), (places.api[0], places.site[0]), strict=True
        )
        if may and not all_may
    ]
    found += zip(("hybrid", "hybrid_cloud"), hybrids, strict=False)
    found += zip(("split", "split_cloud"), splits, strict=False)
    others, not_rented = _of_other_gpus(answers, folder, places, talks)
    found += others
    return [
        "# auto: the cheapest size that meets the SLO is searched, and so is the number of requests per replica from",
        "# which on a hybrid sends them on, so each topology is compared at its best.",
        *_left_out(answers, places),
        *not_rented,
        "topologies:",
        *(_paid_for(answers.gpu) if answers.owned_gpus and answers.server_usd is None else []),
        *(line for name, lines in found for line in (f"  {name}:", *lines)),
    ]


def server_lines(answers: Answers) -> Lines:
    """The price of a server of one's own, where it was said."""
    if answers.server_usd is None:
        return []
    number = "" if answers.gpus_per_server is None else f", gpus_per_server: {answers.gpus_per_server}"
    paid = ", spares: 0" if answers.server_usd == 0 else ""
    return [
        f"servers: [{{name: own, site: {OWN_SITE}, gpu: {answers.gpu}, "
        f"capex_usd: {_number(answers.server_usd)}{number}{paid}}}]"
    ]


def own_hardware(answers: Answers) -> HardwareSettings | None:
    """What differs of a GPU that the catalog lacks; None for one that it has."""
    if answers.own_gpu is None:
        return None
    peaks = {name: getattr(answers, f"{name}_tflops") for name in ("bf16", "fp8")}
    given = {name: getattr(answers, name) for name in OWN_GPU if not name.endswith("_tflops")}
    said = {"name": answers.own_gpu, **given, "peaks_tflops": {k: v for k, v in peaks.items() if v is not None} or None}
    return HardwareSettings(**{name: value for name, value in said.items() if value is not None})


def data_classes(answers: Answers) -> tuple[DataClass, ...]:
    """Kinds of data of the requests."""
    return (answers.data_class, answers.other_data_class) if answers.other_share else (answers.data_class,)


def _number(value: float) -> str:
    return f"{value:.12g}"


def _places(answers: Answers) -> _Places:
    """Which places take all of the data, and which those of the first kind."""
    kinds = data_classes(answers)

    def takes(name: str) -> tuple[bool, bool]:
        allowed = site(name).data_classes
        return all(kind in allowed for kind in kinds), kinds[0] in allowed

    if answers.offer is not None:
        return _Places(takes(answers.site), takes(token_offer(answers.offer).site))
    is_own = answers.api_input_usd is not None
    return _Places(takes(answers.site), (is_own and len(set(kinds)) == 1, is_own))


def _left_out(answers: Answers, places: _Places) -> Lines:
    """A line for each place to which data may not go, or not all."""
    names = [(answers.site, places.site)]
    if has_api(answers):
        names.append((answers.offer or OWN_API, places.api))
    return [
        f"# left out{'' if not first else ' but for what may go there'}: {name}, which may not take "
        f"{answers.other_data_class if first else answers.data_class} data (servecast catalog sites)"
        for name, (both, first) in names
        if not both
    ]


def _of_other_gpus(
    answers: Answers, folder: Path, places: _Places, talks: bool
) -> tuple[list[tuple[str, Lines]], Lines]:
    """Own and rented servers of each other GPU that is compared, and a line for each that the site does not rent so."""
    found: list[tuple[str, Lines]] = []
    left_out: Lines = []
    for name in other_gpus(answers):
        try:
            fit = fit_of(answers, folder, name)
        except InputError as error:
            raise InputError(
                *(Problem(one.message, path="other_gpus", got=one.got) for one in error.problems)
            ) from error
        own = _pool(answers, fit, "base", OWN_SITE, "replicas: auto, billing: owned", talks)
        found.append((f"on_prem_{name}", [*_why(name, fit), "    pools:", own]))
        if not places.site[0]:
            continue
        try:
            gpu_offer(answers.site, name, gpus=fit.tp)
        except InputError as error:
            left_out.append(f"# left out: rented {name}, as {error.problems[0].message}")
            continue
        rented = _pool(answers, fit, "rented", answers.site, _scaled(answers), talks)
        found.append((f"cloud_{name}", ["    pools:", rented]))
    return found, left_out


def _why(name: str, fit: Fit) -> Lines:
    return [f"    # {name}: {fit.why}"] if fit.why else []


def other_gpus(answers: Answers) -> Sequence[str]:
    """GPUs that are compared beside the first.

    Raises
    ------
    InputError : one that the catalog lacks
    """
    asked = [name for part in (answers.other_gpus or "").split(",") if (name := part.strip())]
    try:
        names = [gpu(name).name for name in asked]
    except InputError as error:
        raise InputError(*(Problem(one.message, path="other_gpus") for one in error.problems)) from error
    return [name for name in dict.fromkeys(names) if name != answers.gpu or answers.own_gpu is not None]


def _owned(answers: Answers, fit: Fit) -> str:
    return f"replicas: {answers.owned_gpus // fit.tp if answers.owned_gpus else 'auto'}"


def _scaled(answers: Answers) -> str:
    is_even = answers.busy == "always" and answers.trace is None
    return "replicas: auto" if is_even else "autoscaler: auto"


def _rented(answers: Answers) -> str:
    price = answers.rent_usd_per_gpu_hour
    said = "" if price is None else f", price_usd_per_gpu_hour: {_number(price)}, price_source: an answer"
    return f"{_scaled(answers)}{said}"


def _pool(answers: Answers, fit: Fit, name: str, place: str, size: str, talks: bool) -> str:
    sticky = ", routing: session_sticky" if talks else ""
    hardware = f", hardware: {_flow(fit.hardware)}" if fit.hardware is not None else ""
    split = f"tensor_parallel_size: {fit.tp}"
    return f"      - {{name: {name}, site: {place}, gpu: {fit.gpu}{hardware}, {split}, {size}{sticky}}}"


def _flow(hardware: HardwareSettings) -> str:
    said = hardware.model_dump(exclude_none=True)
    peaks = said.pop("peaks_tflops", None)
    parts = [f"{key}: {json.dumps(value) if isinstance(value, str) else _number(value)}" for key, value in said.items()]
    if peaks:
        inner = ", ".join(f"{key}: {_number(value)}" for key, value in peaks.items())
        parts.append(f"peaks_tflops: {{{inner}}}")
    return f"{{{', '.join(parts)}}}"


def _api(answers: Answers) -> Lines:
    """The token API; what it is paid for today it lets through, whatever the catalog takes its limits to be."""
    is_paid = answers.spend_usd_per_month is not None
    said = ["    # 0 is no limit: what is paid for today comes through."] if is_paid else []
    return [*said, f"    providers: [{_provider(answers)}]"]


def _provider(answers: Answers) -> str:
    parts = [f"name: {API}"]
    if answers.offer is not None:
        parts.append(f"offer: {answers.offer}")
    if answers.api_input_usd is not None:
        assert answers.api_output_usd is not None
        prices = f"input: {_number(answers.api_input_usd)}, output: {_number(answers.api_output_usd)}"
        if answers.api_cached_usd is not None:
            prices += f", cached_input: {_number(answers.api_cached_usd)}"
        parts.append(f"prices: [{{{prices}}}], price_source: an answer")
    if answers.spend_usd_per_month is not None:
        parts.append("requests_per_minute: 0, tokens_per_minute: 0")
    parts += [
        f"{name.removeprefix('api_')}: {{median: {_number(value)}}}"
        for name in ("api_ttft_s", "api_tpot_s")
        if (value := getattr(answers, name)) is not None
    ]
    if answers.offer is None:
        parts.append(f"data_classes: [{answers.data_class}]")
    return f"{{{', '.join(parts)}}}"


def _paid_for(name: str) -> Lines:
    """How to say that servers are there and paid for."""
    return [
        "  # Servers are billed as if they were bought now, with spares. What is paid for already says so, as a key of",
        f"  # the scenario: servers: [{{name: own, site: {OWN_SITE}, gpu: {name}, capex_usd: 0, spares: 0}}]",
    ]
