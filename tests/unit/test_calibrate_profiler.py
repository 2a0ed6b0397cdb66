"""A profile in the making, on an engine that is made up: what is measured, left out, and given up at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from calibrate.experiments.design import Limits, design, design_within
from calibrate.experiments.profile import DEFAULTS, Options, Profiler, check_counts, contention
from calibrate.experiments.store import PointStore
from calibrate.recording.bundle import META, missing_points
from calibrate.vllm_process import EngineError, engine_arguments

LIMITS = {
    "num_gpu_blocks": 65,
    "block_size": 16,
    "max_num_batched_tokens": 64,
    "max_num_seqs": 4,
    "max_model_len": 512,
    "enable_chunked_prefill": True,
}
CPU = {"name": "a processor", "type": "cpu", "count": 1}
ENGINE = Limits(64, 4, 512, 1024, 16)
POINTS = design(ENGINE)
STEP_S, LOOK_S = 0.25, (9.0, 0.5)
"""A decode step; the steps of the prompt at the first look, which warms up, and at the second."""


@dataclass
class MadeUp:
    """Engines in processes of their own; `clock_s` goes on by ten seconds with each point."""

    refuses: Callable[[list[dict[str, Any]]], str] = lambda phases: ""
    starts: Callable[[list[str]], str] = lambda arguments: ""
    counts: dict[str, Any] = field(default_factory=lambda: {"recorded": {"prompt": 7}, "engine": {"prompt": 7}})
    cpu_share: float | None = 1.0
    device: dict[str, Any] = field(default_factory=lambda: CPU)
    limits: dict[str, Any] = field(default_factory=lambda: LIMITS)
    clock_s: float = 100.0
    looks: int = 0
    asked: list[list[dict[str, Any]]] = field(default_factory=list)
    started: list[list[str]] = field(default_factory=list)
    closed: int = 0

    def close(self) -> None:
        self.closed += 1

    def call(self, do: str, **given: Any) -> Any:
        return getattr(self, f"_{do}")(**given)

    def _start(self, arguments: list[str]) -> dict[str, Any]:
        self.started.append(arguments)
        if kind := self.starts(arguments):
            raise EngineError(kind, "no room")
        return {
            "limits": self.limits,
            "cudagraph_capture_sizes": [],
            "cudagraph_mode": "none",
            "versions": {"vllm": "0.32.0", "tested": True},
            "model_config": {"model_type": "llama"},
            "device": self.device,
            "resolved": {"dtype": "bfloat16"},
            "environment": {},
        }

    def _self_test(self) -> dict[str, Any]:
        return self.counts

    def _point(self, phases: list[dict[str, Any]]) -> dict[str, Any]:
        if kind := self.refuses(phases):
            raise EngineError(kind, "x" * 500)
        self.asked.append(phases)
        self.clock_s += 10.0
        prompt_s = LOOK_S[1]
        if len(phases) == 1 and phases[0]["add"][0][1] == 6 and len(phases[0]["add"]) == 1:
            prompt_s, self.looks = LOOK_S[min(self.looks, 1)], self.looks + 1
        made = {"gap_s": None, "batch": [[1, 0]], "free_blocks": 1, "preemptions": 0}
        rows = [{"tag": "prefill", "dur_s": prompt_s, **made} for _ in range(4)]
        return {"rows": [*rows, {"tag": "decode", "dur_s": STEP_S, **made}], "cpu_share": self.cpu_share}


@dataclass
class Making:
    profiler: Profiler
    store: PointStore
    told: list[tuple[int, int, float]]

    def meta(self) -> dict[str, Any]:
        return dict(json.loads((self.store.folder / META).read_text("utf-8")))

    def order(self) -> list[tuple[int, str]]:
        return [(record["repeat"], record["point"]) for record in self.store.measured]


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Making]:
    def made(engine: MadeUp, *, repeats: int = 1, budget_s: float = 1e6, extra: tuple[str, ...] = ()) -> Making:
        monkeypatch.setattr("calibrate.experiments.profile.time.monotonic", lambda: engine.clock_s)
        store, told = PointStore(tmp_path, {"model": "small"}), []
        arguments, options = ["--model", "small", *extra], Options(repeats, budget_s, 3)

        def start() -> Any:
            return engine

        return Making(Profiler(start, arguments, store, options, lambda *given: told.append(given)), store, told)

    return made


def test_every_point_is_measured_as_often_as_is_asked_in_an_order_of_its_own(making: Callable[..., Making]) -> None:
    engine = MadeUp()
    made = making(engine, repeats=2)
    assert made.profiler.run() is True
    names = sorted(point.name for point in POINTS)
    first, second = ([name for repeat, name in made.order() if repeat == k] for k in (0, 1))
    assert sorted(first) == sorted(second) == names
    assert first != second
    assert engine.asked[-len(names) :] == [
        next(point.command() for point in POINTS if point.name == name) for name in second
    ]
    assert [(done, total) for done, total, _ in made.told] == [(k + 1, 2 * len(names)) for k in range(2 * len(names))]
    assert made.told[-1][2] == 0.0
    assert engine.closed == 1
    assert missing_points(made.store.folder) is None
    meta = made.meta()
    assert (meta["status"], meta["restarts"], meta["backed_off"], meta["cpu_share"]) == ("complete", 0, [], 1.0)
    assert meta["design"] == {
        "points": len(names),
        "most_tokens": 64 * 16,
        "tokens_per_s": 256 / (4 * LOOK_S[1]),
        "step_s": STEP_S,
        "repeats": 2,
        "seed": 3,
    }
    assert meta["points"] == {"measured": 2 * len(names), "failed": []}
    assert meta["config"] == {**LIMITS, "cudagraph_capture_sizes": [], "cudagraph_mode": "none"}
    assert (meta["device"], meta["vllm_version"], meta["model"]) == ("a processor", "0.32.0", {"model_type": "llama"})
    assert (meta["self_test"], meta["engine_arguments"]) == (engine.counts, ["--model", "small"])


@pytest.mark.parametrize(
    ("longest", "tested", "look"),
    [(512, ((40, 6), (7, 3), (130, 2)), (256, 8)), (134, ((40, 6), (7, 3)), (124, 6)), (40, ((7, 3),), (30, 5))],
)
def test_an_engine_is_tried_and_timed_with_what_fits_it(
    longest: int, tested: tuple[tuple[int, int], ...], look: tuple[int, int], making: Callable[..., Making]
) -> None:
    """A prompt of four steps of 64 tokens at most and four decode steps; 8 of the longest 510 tokens are left."""
    engine = MadeUp(limits={**LIMITS, "max_model_len": longest})
    assert making(engine).profiler.run()
    test, *looks = (phases for (phases,) in engine.asked[:3])
    assert (test["add"], test["steps"]) == (tested, 6)
    assert [(one["add"], one["steps"]) for one in looks] == [(((look[0], 6),), look[1])] * 2


def test_the_time_left_is_told_by_what_points_have_taken(making: Callable[..., Making]) -> None:
    """All took ten seconds; a point's share of the design is what it was expected to take."""
    made = making(MadeUp())
    made.profiler.run()
    cost_s = {point.name: point.seconds(256 / (4 * LOOK_S[1]), STEP_S) for point in POINTS}
    costs_s = [cost_s[name] for _, name in made.order()]
    for k, (_, _, left_s) in enumerate(made.told):
        assert left_s == pytest.approx(sum(costs_s[k + 1 :]) * 10.0 * (k + 1) / sum(costs_s[: k + 1]))


@pytest.mark.parametrize("budget_s", [60.0, 160.0])
def test_half_of_the_time_is_for_one_repeat(budget_s: float, making: Callable[..., Making]) -> None:
    made = making(MadeUp(), budget_s=budget_s)
    made.profiler.run()
    points, most_tokens = design_within(ENGINE, budget_s / 2, 256 / (4 * LOOK_S[1]), STEP_S)
    assert (made.meta()["design"]["points"], made.meta()["design"]["most_tokens"]) == (len(points), most_tokens)


def test_several_devices_are_counted(making: Callable[..., Making]) -> None:
    made = making(MadeUp(device={"name": "H100", "type": "cuda", "count": 4}))
    made.profiler.run()
    assert made.meta()["device"] == "4 x H100"


def test_no_point_begins_after_the_time_and_the_same_command_goes_on(making: Callable[..., Making]) -> None:
    """Ten seconds each: of 35 s the fourth point is the last to begin. The design is that of the first time."""
    cut = making(MadeUp(), budget_s=35.0)
    assert cut.profiler.run() is False
    assert len(cut.store.measured) == 4
    assert (cut.meta()["status"], missing_points(cut.store.folder)) == ("partial", (4, cut.meta()["design"]["points"]))
    assert [left for _, _, left in cut.told][-1] == 0.0
    assert all(left <= 35.0 - 10.0 * done for done, _, left in cut.told[:3])
    engine = MadeUp()
    on = making(engine)
    assert on.profiler.run() is True
    points = on.meta()["design"]["points"]
    assert points <= len(POINTS)
    assert on.told[0][:2] == (5, points)
    assert len(set(on.order())) == len(on.order()) == points
    assert [record["time_s"] for record in on.store.records if "speed" in record] == [35.0]
    assert engine.looks == 0


@pytest.mark.parametrize(
    ("fits_below", "shares"), [(1.0, ["", "0.85"]), (0.8, ["", "0.85", "0.75"]), (0.7, ["", "0.85", "0.75", "0.6"])]
)
def test_a_start_without_room_takes_a_smaller_share_of_the_memory(
    fits_below: float, shares: list[str], making: Callable[..., Making]
) -> None:
    def starts(arguments: list[str]) -> str:
        share = float(arguments[-1].partition("=")[2] or 1.0)
        return "" if share < fits_below else "out_of_memory"

    engine = MadeUp(starts=starts)
    made = making(engine)
    assert made.profiler.run()
    asked = [f"--gpu-memory-utilization={share}" if share else "" for share in shares]
    assert [("" if arguments[-1] == "small" else arguments[-1]) for arguments in engine.started] == asked
    assert engine.closed == len(shares)
    assert [(entry["at"], entry["arguments"], entry["message"]) for entry in made.meta()["backed_off"]] == [
        ("start", arguments, "no room") for arguments in asked[:-1]
    ]


@pytest.mark.parametrize(
    ("kind", "extra", "starts"),
    [
        ("out_of_memory", (), 4),
        ("out_of_memory", ("--gpu-memory-utilization=0.9",), 1),
        ("refused", (), 1),
        ("failed", (), 1),
    ],
)
def test_an_engine_that_does_not_start_ends_the_profile(
    kind: str, extra: tuple[str, ...], starts: int, making: Callable[..., Making]
) -> None:
    engine = MadeUp(starts=lambda _: kind)
    made = making(engine, extra=extra)
    with pytest.raises(EngineError, match="no room") as refused:
        made.profiler.run()
    assert refused.value.kind == kind
    assert (len(engine.started), engine.closed) == (starts, starts)
    assert not (made.store.folder / META).exists()


def test_points_at_least_as_large_as_one_without_room_are_left_out(making: Callable[..., Making]) -> None:
    """The engine holds no more than `kv_tokens` of a middle point: one failure of memory, and none tries a larger."""
    middle = sorted(point.kv_tokens for point in POINTS)[len(POINTS) // 2]
    by_command = {json.dumps(point.command()): point for point in POINTS}

    def refuses(phases: list[dict[str, Any]]) -> str:
        point = by_command.get(json.dumps(phases))
        return "out_of_memory" if point is not None and point.kv_tokens >= middle else ""

    made = making(MadeUp(refuses=refuses), repeats=2)
    assert made.profiler.run()
    tried = [record for record in made.store.failed if "kv_tokens" in record]
    left_out = [record for record in made.store.failed if "kv_tokens" not in record]
    assert made.profiler.restarts == len(tried) <= 5
    assert {len(record["message"]) for record in tried} == {400}
    assert {record["failure"] for record in made.store.failed} == {"out_of_memory"}
    assert {record["message"] for record in left_out} == {"at least as large as one that failed"}
    small = {point.name for point in POINTS if point.kv_tokens < middle}
    assert {name for _, name in made.order()} == small
    assert len(made.order()) == 2 * len(small)
    assert len(made.store.failed) == 2 * (len(POINTS) - len(small))
    meta = made.meta()
    assert (meta["status"], meta["restarts"]) == ("complete", len(tried))
    assert meta["points"] == {"measured": 2 * len(small), "failed": made.store.failed}


@pytest.mark.parametrize(("deaths", "ends"), [(5, False), (6, True)])
def test_an_engine_that_dies_again_and_again_ends_the_profile(
    deaths: int, ends: bool, making: Callable[..., Making]
) -> None:
    left = iter(range(deaths))
    commands = [json.dumps(point.command()) for point in POINTS]

    def refuses(phases: list[dict[str, Any]]) -> str:
        return "died" if json.dumps(phases) in commands and next(left, None) is not None else ""

    engine = MadeUp(refuses=refuses)
    made = making(engine, repeats=2)
    if ends:
        with pytest.raises(EngineError):
            made.profiler.run()
        assert not made.store.measured
    else:
        assert made.profiler.run()
        assert len(engine.started) == engine.closed == 1 + deaths
    assert [record["failure"] for record in made.store.failed] == ["died"] * deaths


def test_steps_that_count_otherwise_than_the_engine_are_not_trusted(making: Callable[..., Making]) -> None:
    counts = {"recorded": {"prompt": 7}, "engine": {"prompt": 8}}
    with pytest.raises(EngineError, match=r"recorded steps count .*7.*, the engine counts .*8.*0\.32\.0") as caught:
        check_counts(counts, "0.32.0")
    assert caught.value.kind == "failed"
    made = making(MadeUp(counts=counts))
    with pytest.raises(EngineError):
        made.profiler.run()
    assert not made.store.measured


@pytest.mark.parametrize(
    ("share", "kind", "told"),
    [(0.89, "cpu", "for 89 % of the time"), (0.9, "cpu", None), (0.1, "cuda", None), (None, "cpu", None)],
)
def test_threads_without_their_processors_are_told(
    share: float | None, kind: str, told: str | None, making: Callable[..., Making]
) -> None:
    made = making(MadeUp(cpu_share=share))
    made.profiler.run()
    assert made.profiler.cpu_share == made.meta()["cpu_share"] == share
    remark = contention(share, {"type": kind})
    assert remark is None if told is None else told in str(remark)


def test_what_the_user_says_of_the_engine_stands_for_ours() -> None:
    assert engine_arguments("m", ["--max-model-len", "64"], DEFAULTS) == [
        *("--model", "m", "--load-format", "dummy", "--skip-tokenizer-init", "--no-async-scheduling"),
        *("--max-model-len", "64"),
    ]
    for said, gone in (
        ("--load_format=auto", "--load-format"),
        ("--no-skip-tokenizer-init", "--skip-tokenizer-init"),
        ("--async-scheduling", "--no-async-scheduling"),
    ):
        found = engine_arguments("m", [said], DEFAULTS)
        assert gone not in found
        assert found[-1] == said
        assert len([word for word in found if word.startswith("--")]) == 4
