"""How many GPUs a replica takes for its speed, and models that write no text."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from simulator.errors import InputError
from simulator.questions.answers import Answers
from simulator.questions.fit import fit_of
from simulator.questions.write import scenario_text

_LONG = {
    "ttft_s": 4.0,
    "site": "coreweave",
    "model": "llama-3.1-70b",
    "rate_rps": 0.8,
    "isl": 20_000,
    "osl": 300,
    "cached_share": 0.2,
}


@pytest.mark.parametrize(
    ("alone_by_tp", "most", "degree", "told"),
    [
        ({1: (1.0, 0.01), 2: (0.5, 0.01)}, 8, 1, ""),
        ({1: (9.0, 0.01), 2: (3.0, 0.01), 4: (1.5, 0.01)}, 8, 4, "on 2 one prompt in 20 alone takes 3 s"),
        ({1: (1.0, 0.2), 2: (1.0, 0.04)}, 8, 2, "on 1 a token takes 0.2 s"),
        ({1: (9.0, 0.01), 2: (3.0, 0.01), 4: (1.5, 0.01)}, 2, 1, "too slow by itself"),
        ({1: (9.0, 1.0), 2: (9.0, 1.0), 4: (9.0, 1.0), 8: (9.0, 1.0)}, 8, 1, "too slow by itself"),
    ],
)
def test_a_replica_has_the_fewest_gpus_that_answer_one_request_in_time(
    alone_by_tp: dict[int, tuple[float, float]],
    most: int,
    degree: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limits are 2 s to the first token and 0.05 s for each further one; none that is there is exceeded for speed."""
    fit = import_module("simulator.questions.fit")

    def answered(question: Any) -> Any:
        plan = SimpleNamespace(fits=True, kv_tokens=10**6, max_model_len=4096)
        return SimpleNamespace(plan=plan, question=question, shape=SimpleNamespace(context=8192))

    monkeypatch.setattr(fit, "answer", answered)
    monkeypatch.setattr(fit, "engine_of", lambda _answers, one, _folder: SimpleNamespace(config=one.tp, step_time=None))
    monkeypatch.setattr(fit, "alone_s", lambda tp, *_: alone_by_tp[tp])
    found = fit_of(Answers(rate_rps=1.0, ttft_s=2.0, tpot_s=0.05), Path(), "l4", most=most)
    assert found.tp == degree
    assert told in found.why
    assert bool(found.why) is bool(told)


def test_long_prompts_take_more_gpus_than_the_memory_does() -> None:
    """A tenth of the prompts in a run of 2 H200 missed 4 s at a load near nothing; L40S are too slow however many."""
    text = scenario_text({**_LONG, "gpu": "h200", "other_gpus": "l40s"})
    pools = {name: each["pools"][0] for name, each in yaml.safe_load(text)["topologies"].items()}
    assert pools["on_prem"]["tensor_parallel_size"] == 4
    assert "# h200: 4 GPUs a replica, as on 2 one prompt in 20 alone takes" in text
    assert "# l40s: too slow by itself: on 8" in text
    short = yaml.safe_load(scenario_text({**_LONG, "gpu": "h200", "isl": 2_000}))
    assert short["topologies"]["on_prem"]["pools"][0]["tensor_parallel_size"] == 1


def degree(text: str) -> int:
    pool = yaml.safe_load(text)["topologies"]["on_prem"]["pools"][0]
    return int(pool.get("tensor_parallel_size", 1))


def test_of_a_session_a_request_computes_what_it_brings() -> None:
    """Of prompts of 20,000 in ten turns a fifth is said to all, and 4.5 answers of 300 and as many questions were said
    before, so the other 14,650 are 5.5 questions: 2,663 new tokens a request. The rest is in the cache."""
    text = scenario_text({**_LONG, "gpu": "h200", "turns": 10})
    assert "isl: {kind: lognormal, mean: 2663" in text
    assert degree(text) == 2, "for the memory of 16 prompts, which one has not"
    assert "one prompt in 20" not in text


@pytest.mark.parametrize(("long", "gpus"), [(0, 2), (4, 2), (12, 4)])
def test_of_a_log_one_prompt_in_20_is_as_long_as_it_says(long: int, gpus: int, tmp_path: Path) -> None:
    """Of 200 prompts ten may be late: what is longer in fewer takes no more GPUs, whatever lengths vary elsewhere."""
    rows = [f"{60 * k},{50_000 if k < long else 20_000},300" for k in range(200)]
    (tmp_path / "log.csv").write_text("\n".join(["arrival_s,input_tokens,output_tokens", *rows]), "utf-8")
    asked = {name: _LONG[name] for name in ("ttft_s", "site", "model")}
    assert degree(scenario_text({**asked, "gpu": "h200", "trace": "log.csv"}, tmp_path)) == gpus


@pytest.mark.parametrize(("column", "says"), [("class", True), ("session_id", False)])
def test_of_a_log_that_says_what_repeats_nobody_knows_how_much_is_new(column: str, says: bool, tmp_path: Path) -> None:
    rows = [f"{60 * k},50000,300,{k % 2}" for k in range(200)]
    (tmp_path / "log.csv").write_text("\n".join([f"arrival_s,input_tokens,output_tokens,{column}", *rows]), "utf-8")
    asked = {name: _LONG[name] for name in ("ttft_s", "site", "model")}
    text = scenario_text({**asked, "ttft_s": 2.0, "gpu": "h200", "trace": "log.csv"}, tmp_path)
    assert ("one prompt in 20" in text) is says


def test_a_model_that_writes_no_text_answers_with_one_token() -> None:
    """Of a vector there is no further token: no length to draw, no limit for it, no default to tell."""
    given = {"model": "qwen3-embedding-8b", "rate_rps": 50.0, "isl": 400}
    text = scenario_text(given)
    (requests,) = yaml.safe_load(text)["workload"]["classes"]
    assert requests["lengths"]["osl"] == 1
    assert requests["slo"] == {"ttft_s": {"p95": 2}}
    assert "default osl" not in text
    assert "a token." not in text
    assert scenario_text({**given, "osl": 1}) == text
    (_, batch) = yaml.safe_load(scenario_text({**given, "batch_per_day": 9000.0}))["workload"]["classes"]
    assert (batch["name"], batch["lengths"]["osl"]) == ("batch", 1)
    with pytest.raises(InputError, match=r"osl: .*not with text"):
        scenario_text({**given, "osl": 20})
    (chat,) = yaml.safe_load(scenario_text({**given, "model": "qwen3-8b"}))["workload"]["classes"]
    assert chat["lengths"]["osl"]["mean"] == 250
    assert "tpot_s" in chat["slo"]
