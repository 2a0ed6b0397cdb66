"""Parts of a search for sizes, and of a verdict, against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.decide.months import _walked
from simulator.metrics.demand import Demand
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.perf.steptime import StepTime, constant_step_time
from simulator.resolve.sizes import BY_TOKEN, Fixed, OpenPool
from simulator.schema.pool import Pool
from simulator.size.answer import spare_errors
from simulator.size.bounds import _least_use, _role
from simulator.size.guess import (
    _hits,
    requests_held,
    requests_in_flight,
    requests_in_time,
    requests_until,
    requests_within,
    targets,
)
from simulator.size.instances import other_instances
from simulator.size.settings import _every_number
from simulator.workload.requests import Requests, make_requests
from tests.fleet_cases import ENGINE, pool


def asking(requests: Requests, *terms: SloTerm) -> Any:
    """A demand of these requests, of one class with these terms."""
    source = SimpleNamespace(chunks=lambda: iter((requests,)))
    return SimpleNamespace(source=lambda _: source, last_job_s=None, classes=(ClassSlo("a", terms),))


def steps_by_token() -> StepTime:
    """0.002 s of 128 tokens, fewer in proportion, 0.01 s of each request, and 1e-5 s of each pair of prompt tokens."""
    return replace(
        constant_step_time(0.002, 128, 8),
        token_time_s=np.linspace(0.0, 0.002, 129)[None, :],
        seq_time_s=0.01 * np.arange(9),
        prefill_attn_s=1e-5,
    )


def steps_of_prompts() -> StepTime:
    """0.002 s of a full step of prompts, nothing of fewer tokens, and 0.01 s of each request."""
    full = np.array([0.0] * 128 + [1.0])
    steps = constant_step_time(0.002, 128, 8)
    return replace(steps, token_time_s=0.002 * full[None, :], seq_time_s=0.01 * np.arange(9))


@pytest.mark.parametrize(
    ("limit_s", "held"),
    # B requests: 0.01 B s of tokens, and B/5 prompts of 60 tokens a step, each 60 * 0.002/128 + 1e-5 * 60**2 / 2 s
    [(0.0001, 1), (0.0137, 1), (0.0277, 2), (0.05, 3), (0.0553, 4), (1.0, 8)],
)
def test_requests_that_a_replica_holds_within_a_limit(limit_s: float, held: int) -> None:
    step = steps_by_token()
    each_s = 0.01 + 0.002 / 128 + (60 * 0.002 / 128 + 1e-5 * 60**2 / 2) / 5
    assert each_s == pytest.approx(0.0138, rel=0.01)
    assert requests_within(ENGINE, step, 60, 5, limit_s) == max(min(int(limit_s / each_s), 8), 1) == held


@pytest.mark.parametrize(("cached", "held"), [(0.0, 3), (20.0, 3), (59.0, 4)])
def test_of_cached_prompts_a_replica_holds_more_requests(cached: float, held: int) -> None:
    """0.045 s / (0.01 + 0.002/128 + (new * 0.002/128 + 1e-5 * (60² - cached²) / 2) / 5): 3.26, 3.36, 4.4."""
    step = steps_by_token()
    each_s = 0.01 + 0.002 / 128 + ((60 - cached) * 0.002 / 128 + 1e-5 * (60**2 - cached**2) / 2) / 5
    assert requests_within(ENGINE, step, 60, 5, 0.045, cached) == int(0.045 / each_s) == held


def test_first_tokens_of_cached_prompts_take_their_new_tokens_alone() -> None:
    """Of 512 tokens 256 are new: two steps, as of a prompt of 256."""
    step = steps_of_prompts()
    config = replace(ENGINE, num_blocks=100_000, max_model_len=10_000)
    assert [requests_until(config, step, 512, 5, 0.193, 1e-9, cached) for cached in (256.0, 0.0)] == [3, 2]


@pytest.mark.parametrize(
    ("limit_s", "late", "held"),
    # a prompt of 256 tokens takes 2 steps of 0.002 s, with B tokens of 0.01 B s beside each: 0.004 + 0.02 B, and at
    # most as much again for each of the B - 1 others: 0.024, 0.088, 0.192, 0.336 s
    [(0.02, 1e-9, 1), (0.024, 1e-9, 1), (0.087, 1e-9, 1), (0.089, 1e-9, 2), (0.193, 1e-9, 3), (0.337, 1e-9, 4)],
)
def test_requests_whose_first_tokens_keep_a_limit(limit_s: float, late: float, held: int) -> None:
    step = steps_of_prompts()
    assert requests_until(ENGINE, step, 256, 5, limit_s, late) == held


@pytest.mark.parametrize(
    ("gap_s", "replicas", "in_flight"),
    # B requests end B/5 a step of 0.1 s and B/5 prompts of 60 tokens, 0.1/128 s each: 1.83, 3.37, 4.68, 5.82, 6.81,
    # 7.68, 8.45 and 9.14 a second
    [(0.25, 1, 3), (0.25, 2, 2), (0.25, 4, 1), (0.5, 1, 2), (0.125, 1, 7), (0.125, 2, 3), (0.1, 1, 8), (0.1, 2, 4)],
)
def test_requests_in_flight_are_the_fewest_that_end_as_fast_as_each_replicas_share_comes(
    gap_s: float, replicas: int, in_flight: int
) -> None:
    chunk = make_requests(gap_s * np.arange(8000), np.full(8000, 60), np.full(8000, 5))
    demand = asking(chunk)
    spec = replace(pool(), step_time=constant_step_time(0.1, 128, 8))
    ends_rps = [b / 5 / (0.1 + b / 5 * 60 * 0.1 / 128) for b in range(1, 9)]
    assert sum(each < 1 / gap_s / replicas for each in ends_rps[:7]) + 1 == in_flight
    assert requests_in_flight(spec, demand, replicas) == in_flight


def test_few_prompts_wait_for_few_others() -> None:
    """At answers of 5,000 tokens and B = 8 a prompt comes every 50 s: no more than its own 0.164 s are waited for."""
    step = steps_of_prompts()
    config = replace(ENGINE, num_blocks=100_000, max_model_len=10_000)
    assert requests_until(config, step, 256, 5_000, 0.165, 0.05) == 8


def replication(*kept_of: tuple[int, int], required: float = 0.9) -> Any:
    classes = [SimpleNamespace(shares=(required,)) for _ in kept_of]
    counts = [[SimpleNamespace(kept=kept, of=of)] for kept, of in kept_of]
    return SimpleNamespace(classes=classes, term_counts=lambda: counts)


def test_the_nearest_term_is_the_one_with_the_fewest_errors_to_spare() -> None:
    error = (0.9 * 0.1 / 400) ** 0.5
    assert spare_errors([replication((396, 400), (368, 400))]) == pytest.approx(0.02 / error)
    assert spare_errors([replication((368, 400), (396, 400))]) == pytest.approx(0.02 / error)
    assert spare_errors([replication((0, 0))]) == np.inf, "a class without requests has no term"


def test_replications_that_differ_more_than_chance_among_requests_widen_the_error() -> None:
    apart = [replication((400, 400)), replication((376, 400))]
    spread = np.std([1.0, 0.94], ddof=1) / 2**0.5
    assert spread > (0.09 / 800) ** 0.5
    assert spare_errors(apart) == pytest.approx((0.97 - 0.9) / spread)


@pytest.mark.parametrize(
    ("hands_to", "providers", "roles"),
    [
        ((None,), (), [(True, True)]),
        ((1, None), (), [(True, False), (False, True)]),
        ((None, None), (), [None, None]),
        ((None,), ("api",), [None]),
    ],
)
def test_what_a_pool_alone_must_do(
    hands_to: Sequence[int | None], providers: Sequence[str], roles: list[tuple[bool, bool] | None]
) -> None:
    pools = tuple(SimpleNamespace(hands_to=to) for to in hands_to)
    subject: Any = SimpleNamespace(fleet=SimpleNamespace(pools=pools, providers=tuple(providers)))
    assert [_role(subject, k) for k in range(len(pools))] == roles


def test_each_number_of_the_other_pool_up_to_where_it_is_enough_alone() -> None:
    pools = [OpenPool(k, f"p{k}", 0, 1, owned=False) for k in range(2)]
    searcher: Any = SimpleNamespace(trials=SimpleNamespace(pools=pools), limits=SimpleNamespace(max_replicas=64))
    fewest = {(Fixed(0), Fixed(0)): 5, (Fixed(2), Fixed(0)): 3, (Fixed(4), Fixed(0)): 0}
    found = _every_number(searcher, 1, fewest)
    assert found == [((Fixed(n), Fixed(0)), least) for n, least in ((4, 0), (3, 1), (2, 3), (1, 3), (0, 5))]


def test_numbers_beside_an_autoscaler_are_those_that_are_to_be_had() -> None:
    """Units in steps of 5 from 10 on, or none, up to 20, which are enough alone; and those paid by the token apart."""
    pools = [OpenPool(0, "api", 0, 5, owned=False, is_units=True, unsold=1), OpenPool(1, "own", 0, 1, owned=False)]
    searcher: Any = SimpleNamespace(trials=SimpleNamespace(pools=pools), limits=SimpleNamespace(max_replicas=64))
    found = _every_number(searcher, 1, {(Fixed(0), Fixed(0)): 5, (Fixed(20), Fixed(0)): 0, (BY_TOKEN, Fixed(0)): 2})
    assert [point[0] for point, _ in found] == [BY_TOKEN, Fixed(20), Fixed(15), Fixed(10), Fixed(0)]
    assert found[0] == ((BY_TOKEN, Fixed(0)), 2)


def test_another_instance_is_another_trial_only_where_something_takes_it_whole() -> None:
    whole: Any = SimpleNamespace(mtbf_s=0, reclaim_mtbf_s=0, unavailable_probability=0.0, known=(), stock_outs=())
    fails: Any = SimpleNamespace(mtbf_s=1e6, reclaim_mtbf_s=0, unavailable_probability=0.0, known=(), stock_outs=())
    rented = Pool.model_validate({"name": "p", "site": "lambda", "gpu": "h100-sxm", "replicas": 1})
    assert other_instances(rented, SimpleNamespace(reliability=whole)) == ()  # type: ignore[arg-type]
    apart = other_instances(rented, SimpleNamespace(reliability=fails))  # type: ignore[arg-type]
    assert apart
    assert "gpu_1x_h100_sxm5" not in apart, "its own"


def test_arrivals_in_stretches_of_which_some_are_empty() -> None:
    demand = Demand(60.0, 0)
    demand.period_s, demand.of_class = 10.0, np.array([0, 4, 0, 4, 0, 4])[:, None]
    assert demand.dispersion(0.0, 60.0) == pytest.approx(16 / 2 / 2)
    assert demand.dispersion(50.0, 60.0) == 1.0, "one stretch says nothing of how they vary"


def share(name: str, hours: float, attainment: float) -> Any:
    served = SimpleNamespace(meets=attainment >= 0.9, attainment=attainment, binding=f"ttft of {name}")
    return SimpleNamespace(hours=hours, served=served, period=SimpleNamespace(name=name))


def test_a_month_keeps_its_shortest_periods_and_none_without_hours() -> None:
    shares = [share("busy", 0.5, 0.8), share("quiet", 99.5, 1.0), share("never", 0.0, 1.0)]
    walked = _walked(1, (1.0,), (), shares, meets=False)
    assert walked.attainment == pytest.approx((0.5 * 0.8 + 99.5) / 100)
    assert walked.binding == "in busy, ttft of busy"
    assert list(walked.shares) == shares[:2]


def test_the_least_use_of_a_pool_is_its_replicas_from_the_warm_up_to_the_horizon() -> None:
    """3 replicas of 2 GPUs, two on a server of 4: half of the first hour, the second, a quarter of the third."""
    two = replace(pool("two"), gpus_per_replica=2, gpus_per_server=4)
    use = _least_use(two, 1800.0, 8100.0, 3, counted=True)
    assert use.billed_by_hour_s.tolist() == [3 * 1800.0, 3 * 3600.0, 3 * 900.0]
    assert (use.billed_s, use.idle_s, use.busy_s, use.peak_replicas) == (3 * 6300.0, 3 * 6300.0, 0.0, 3)
    assert [(stay.replica, stay.server, stay.start_s, stay.end_s) for stay in use.stays] == [
        (0, 0, 1800.0, 8100.0),
        (1, 0, 1800.0, 8100.0),
        (2, 1, 1800.0, 8100.0),
    ]
    none = _least_use(two, 1800.0, 8100.0, 3, counted=False)
    assert (none.billed_s, none.billed_by_hour_s.tolist(), none.stays) == (0.0, [0.0, 0.0, 0.0], ())


def test_prompt_tokens_that_another_request_has_are_all_but_the_longest_of_each_text() -> None:
    """Text 5 with 30 and 20 tokens, text 7 with 10 and 10, text 9 once: 20 and 10 of four requests are another's."""
    requests = make_requests(
        *(np.arange(4.0), np.full(4, 60), np.full(4, 3)),
        segment_start=np.array([0, 2, 4, 5, 5]),
        segment_id=np.array([5, 7, 7, 5, 9]),
        segment_tokens=np.array([30, 10, 10, 20, 40]),
    )
    assert _hits(requests) == (20 + 10) / 4
    assert _hits(make_requests(np.arange(2.0), np.full(2, 60), np.full(2, 3))) == 0.0


@pytest.mark.parametrize(("with_cache", "held"), [(False, 4), (True, 5)])
def test_a_replica_holds_more_of_requests_whose_prompts_its_cache_has(with_cache: bool, held: int) -> None:
    """Four prompts of 64 tokens with a text of 60: 45 are cached in the mean.

    0.069 s / (0.01 + 0.002/128 + (new * 0.002/128 + 1e-5 * (64² - cached²) / 2) / 5): 4.8 with 64, 5.7 with 19.
    """
    step = steps_by_token()
    texts = {"segment_id": np.full(4, 7), "segment_tokens": np.full(4, 60)}
    requests = make_requests(*(np.arange(4.0), np.full(4, 64), np.full(4, 5)), segment_start=np.arange(5), **texts)
    demand = asking(requests, SloTerm("tpot_s", 0.95, 0.069))
    spec = replace(pool(engine=replace(ENGINE, enable_prefix_caching=with_cache)), step_time=step)
    new, cached = (19, 45) if with_cache else (64, 0)
    each_s = 0.01 + 0.002 / 128 + (new * 0.002 / 128 + 1e-5 * (64**2 - cached**2) / 2) / 5
    assert requests_held(spec, demand) == int(0.069 / each_s) == held


def test_limits_on_first_tokens_let_a_replica_hold_fewer() -> None:
    """Prompts of 256 tokens as above: two of them within 0.089 s, three within 0.193 s; tokens would let it hold 8."""
    step = steps_of_prompts()
    requests = make_requests(np.arange(4.0), np.full(4, 256), np.full(4, 5))

    def in_time(*terms: SloTerm) -> int:
        return requests_in_time(replace(pool(), step_time=step), asking(requests, *terms))

    first = [SloTerm("ttft_s", 1.0, limit_s) for limit_s in (0.193, 0.089)]
    assert in_time() == in_time(SloTerm("tpot_s", 0.95, 9.0)) == 8
    assert [in_time(one, SloTerm("tpot_s", 0.95, 9.0)) for one in first] == [3, 2]
    assert in_time(*first) == 2
    assert in_time(first[0], SloTerm("tpot_s", 0.95, 0.001)) == 1


def test_set_points_go_down_to_one_request_for_quiet_hours() -> None:
    """80 are held, as 80/5 prompts of half a second come beside a step of one; a quarter of what is in flight is 20.

    By 0.72 down to below that, 28, 20.2, 14.5; then by half, and from four on one by one.
    """
    requests = make_requests(np.arange(200) * 0.1, np.full(200, 64), np.full(200, 5))
    demand = asking(requests, SloTerm("tpot_s", 0.95, 9.0))
    wide = replace(ENGINE, num_blocks=10_000, max_num_seqs=100)
    found = targets(replace(pool(engine=wide), step_time=constant_step_time(1.0, 128, 100)), demand, 1)
    assert found[:8] == (1.0, 2.0, 3.0, 4.0, 8.0, 15.0, 20.0, 28.0)
