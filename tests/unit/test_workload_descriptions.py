"""Traffic descriptions: what is shipped agrees with itself and with the traces, and sources built from it agree too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.rng import stream
from simulator.workload.describe import describe_trace, write_description
from simulator.workload.description import PrefixSharing, read_description
from simulator.workload.histogram import joint_histogram, log_edges
from simulator.workload.prefix_tree import grow, new_tree
from simulator.workload.requests import Requests, make_requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Profile, WorkloadSpec
from simulator.workload.trace_file import load_trace
from simulator.workload.traces import TRACE_SOURCES

ROOT = Path(__file__).resolve().parents[2]
TRAFFIC = ROOT / "scenarios" / "traffic"
RAW_TRACES = ROOT.parent / "shared" / "data" / "traces"
RAW_FILES = {
    "azure-llm-2023-conv": "azure2023_conv.parquet",
    "azure-llm-2023-code": "azure2023_code.parquet",
    "mooncake-conversation": "mooncake_conversation.parquet",
    "mooncake-synthetic": "mooncake_synthetic.parquet",
}
SHIPPED = [source for source in TRACE_SOURCES if source.described]
NAMES = [source.name for source in SHIPPED]


def file_of(name: str) -> Path:
    return TRAFFIC / f"{name}.json"


def fields_of(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(file_of(name).read_text(encoding="utf-8"))
    return fields


def requests_of(name: str, horizon_s: float, rate_scale: float = 1.0, loop: bool = True, seed: int = 1) -> Requests:
    spec = WorkloadSpec((ClassWorkload("chat", Profile(file_of(name), rate_scale, loop)),))
    (chunk,) = build_source(spec, horizon_s, seed, chunk_requests=10**9).chunks()
    return chunk


def hits_without_eviction(requests: Requests) -> NDArray[np.int64]:
    """Oracle: leading tokens of each prompt that an earlier prompt listed, by segment and position."""
    longest: dict[int, int] = {}
    hits = np.zeros(len(requests), np.int64)
    for row in range(len(requests)):
        span = slice(requests.segment_start[row], requests.segment_start[row + 1])
        listed = list(zip(requests.segment_id[span].tolist(), requests.segment_tokens[span].tolist(), strict=True))
        for segment, tokens in listed:
            hits[row] += min(longest.get(segment, 0), tokens)
            if longest.get(segment, 0) < tokens:
                break
        for segment, tokens in listed:
            longest[segment] = max(longest.get(segment, 0), tokens)
    return hits


def test_every_description_is_shipped_and_none_without_a_source() -> None:
    assert sorted(path.stem for path in TRAFFIC.glob("*.json")) == sorted(NAMES)


@pytest.mark.parametrize("source", SHIPPED, ids=NAMES)
def test_shipped_description_agrees_with_itself(source: Any) -> None:
    fields = fields_of(source.name)
    assert (fields["url"], fields["licence"], fields["citation"]) == (source.file, source.licence, source.citation)
    assert file_of(source.name).stat().st_size < 150_000
    found = read_description(file_of(source.name))
    assert found.counts.sum() == fields["requests"] == found.lengths.count.sum()
    if found.prefix is not None:
        assert found.prefix.depth.count.sum() == fields["requests"]


@pytest.mark.parametrize("source", SHIPPED, ids=NAMES)
def test_shipped_description_follows_from_its_trace(source: Any, tmp_path: Path) -> None:
    raw = RAW_TRACES / RAW_FILES[source.name]
    if not raw.is_file():
        pytest.skip("the published trace is not here")
    again = tmp_path / "again.json"
    write_description(describe_trace(load_trace(raw).requests, source, fields_of(source.name)["retrieved"]), again)
    assert again.read_text(encoding="utf-8") == file_of(source.name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_profile_has_the_lengths_of_its_trace(name: str) -> None:
    fields = fields_of(name)
    x, y = read_description(file_of(name)).lengths.sample(stream(1, "lengths"), 300_000)
    for values, summary in ((x, fields["isl"]), (y, fields["osl"])):
        assert values.mean() == pytest.approx(summary["mean"], rel=0.01)
        assert values.min() >= summary["min"]
        assert summary["p99"] <= values.max() <= summary["max"]
        for q in (25, 50, 75, 90):
            assert np.percentile(values, q) == pytest.approx(summary[f"p{q}"], rel=0.04, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_profile_has_the_arrivals_of_its_trace(name: str) -> None:
    """Ten rounds: each bin's count, summed over the rounds, is within 5 sigma; a renewal count varies by cv² a time."""
    found = read_description(file_of(name))
    rounds = 10
    rate = 1 / (found.duration_s / found.counts.sum())
    spec = WorkloadSpec((ClassWorkload("chat", Profile(file_of(name), loop=True)),))
    source = build_source(spec, rounds * found.duration_s, 1)
    times = np.concatenate([chunk.arrival_s for chunk in source.chunks()])
    sigma = max(found.burstiness_cv, 1.0)
    assert abs(len(times) - rounds * found.counts.sum()) < 4 * sigma * np.sqrt(rounds * found.counts.sum())
    per_bin = np.bincount((times % found.duration_s // found.bin_s).astype(int), minlength=len(found.counts))
    expected = rounds * found.counts
    assert (np.abs(per_bin - expected) <= 6 * sigma * np.sqrt(expected + 1)).all()
    assert len(times) / (rounds * found.duration_s) == pytest.approx(rate, rel=0.05)


def test_profile_without_loop_ends_with_its_trace_and_scale_multiplies_the_rate() -> None:
    fields = fields_of("azure-llm-2023-conv")
    once = requests_of("azure-llm-2023-conv", 1e9, loop=False)
    assert once.arrival_s[-1] < fields["duration_s"]
    assert len(once) == pytest.approx(fields["requests"], abs=4 * np.sqrt(fields["requests"]))
    triple = requests_of("azure-llm-2023-conv", fields["duration_s"], rate_scale=3.0)
    assert len(triple) == pytest.approx(3 * fields["requests"], abs=4 * np.sqrt(3 * fields["requests"]))


@pytest.mark.parametrize("name", ["mooncake-conversation", "mooncake-synthetic"])
def test_profile_shares_prefixes_as_its_trace_does(name: str) -> None:
    fields = fields_of(name)
    requests = requests_of(name, fields["duration_s"])
    block = fields["prefix"]["block_tokens"]
    hits = hits_without_eviction(requests)
    blocks = np.where(hits == requests.isl, -(-hits // block), hits // block)
    ratio = blocks.sum() / (-(-requests.isl // block)).sum()
    assert ratio == pytest.approx(fields["prefix"]["block_hit_ratio"], abs=0.03)
    assert (blocks > 0).mean() == pytest.approx(fields["prefix"]["prompts_with_hit"], abs=0.03)


def test_prefix_tree_hits_exactly_the_depth_that_was_drawn() -> None:
    """Every prompt has 8 blocks; depths are 0, 3 or 5 blocks, so hits without eviction are exactly these."""
    isl = np.full(3000, 8 * 16, np.int32)
    depth = np.tile([0, 3, 5], 1000)
    sharing = PrefixSharing(
        16, 0.0, joint_histogram(isl, depth, np.array([128, 129]), np.arange(10)), np.array([0.0, 9.0])
    )
    arrival_s = np.linspace(0.0, 300.0, 3000)
    start, ids, tokens = grow(new_tree(), sharing, stream(1, "tree"), arrival_s, isl)
    requests = make_requests(arrival_s, isl, isl, segment_start=start, segment_id=ids, segment_tokens=tokens)
    hits = hits_without_eviction(requests) // 16
    assert set(hits[1:].tolist()) == {0, 3, 5}
    np.testing.assert_allclose(np.bincount(hits[1:])[[0, 3, 5]] / 2999, 1 / 3, atol=0.04)
    assert (np.add.reduceat(tokens, start[:-1]) == isl).all()


@pytest.mark.parametrize(("name", "tolerance"), [("azure-llm-2023-conv", 0.05), ("azure-llm-2023-code", 0.25)])
def test_describing_a_source_gives_the_description_back(name: str, tolerance: float) -> None:
    """Round trip; bursts that leave whole bins empty count as rate too, so the burstier trace comes back less well."""
    found = read_description(file_of(name))
    drawn = [requests_of(name, 4 * found.duration_s, rate_scale=3.0, seed=seed) for seed in range(1, 5)]
    described = [describe_trace(requests, SHIPPED[0], "2026-01-01") for requests in drawn]
    again, fields = described[0], fields_of(name)
    assert np.mean([one["burstiness_cv"] for one in described]) == pytest.approx(found.burstiness_cv, rel=tolerance)
    assert again["isl"]["mean"] == pytest.approx(fields["isl"]["mean"], rel=0.02)
    assert again["osl"]["mean"] == pytest.approx(fields["osl"]["mean"], rel=0.04)
    assert again["prefix"] is None


def test_poisson_is_described_as_poisson_even_on_a_rounded_clock() -> None:
    times = np.sort(stream(1, "clock").random(20_000)) * 3600
    ones = np.ones(20_000, np.int32)
    for clock in (times, np.floor(times / 3) * 3):
        assert describe_trace(make_requests(clock, ones, ones), SHIPPED[0], "2026-01-01")["burstiness_cv"] == (
            pytest.approx(1.0, abs=0.03)
        )


def test_reuse_statistics_of_a_trace_done_by_hand(tmp_path: Path) -> None:
    """Blocks 1 2 3 | 1 2 4 | 5 | 1 2 4 6: hits 0, 2, 0, 3 of 11 blocks; lags 1 s and 2 s."""
    file = tmp_path / "trace.csv"
    file.write_text(
        "arrival_s,input_tokens,output_tokens,hash_ids\n0,1536,1,1 2 3\n1,1536,1,1 2 4\n2,300,1,5\n3,2048,1,1 2 4 6\n"
    )
    prefix = describe_trace(load_trace(file).requests, SHIPPED[0], "2026-01-01")["prefix"]
    assert prefix["block_tokens"] == 512
    assert prefix["block_hit_ratio"] == round(5 / 11, 4)
    assert prefix["prompts_with_hit"] == 0.5
    assert prefix["distinct_first_blocks"] == 2
    assert prefix["largest_first_block_share"] == 0.75
    assert prefix["prompts_continuing_another"] == 0.25
    assert set(prefix["lag_s"]) == {2.0}


def test_histogram_keeps_every_count_and_samples_inside_its_cells() -> None:
    x, y = stream(1, "x").integers(1, 500, 4000), stream(1, "y").integers(0, 9, 4000)
    histogram = joint_histogram(x, y, log_edges(1, 499, 1.3), np.arange(10))
    assert histogram.count.sum() == 4000
    sampled_x, sampled_y = histogram.sample(stream(1, "sample"), 20_000)
    assert (sampled_x.min(), sampled_x.max(), sampled_y.min(), sampled_y.max()) == (1, 499, 0, 8)
    again = joint_histogram(sampled_x, sampled_y, histogram.x_edges, histogram.y_edges)
    expected = histogram.count[np.isin(histogram.x_cell * 9 + histogram.y_cell, again.x_cell * 9 + again.y_cell)] * 5
    assert (np.abs(again.count - expected) < 5 * np.sqrt(expected + 1)).all()


def test_depth_given_an_isl_that_no_trace_prompt_had_is_that_of_the_nearest() -> None:
    histogram = joint_histogram(np.array([10, 90]), np.array([1, 7]), np.array([10, 20, 40, 80, 100]), np.arange(9))
    wanted = np.array([1, 10, 19, 25, 70, 95, 5000])
    assert histogram.sample_y(stream(1, "depth"), wanted).tolist() == [1, 1, 1, 1, 7, 7, 7]


def broken(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(fields_of("azure-llm-2023-conv") | changes))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "servecast-traffic/2"}, "format must be 'servecast-traffic/1'"),
        ({"counts": [1, -2]}, "counts must be a list of whole numbers"),
        ({"duration_s": 1.0}, "duration_s must end inside the last"),
        ({"burstiness_cv": float("nan")}, "burstiness_cv"),
        ({"lengths": {}}, "isl_edges: is missing"),
        ({"prefix": {"lag_s": [3.0, 1.0]}}, "ascending"),
    ],
)
def test_broken_descriptions_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_description(broken(tmp_path, **changes))


def test_missing_and_unreadable_descriptions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_description(tmp_path / "nowhere.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_description(tmp_path / "text.json")


def test_a_trace_too_short_to_describe_is_refused() -> None:
    one = np.ones(2, np.int32)
    with pytest.raises(InputError, match="at least three requests"):
        describe_trace(make_requests(np.array([0.0, 1.0]), one, one), SHIPPED[0], "2026-01-01")
