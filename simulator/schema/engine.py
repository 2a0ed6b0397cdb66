"""Engine section: vLLM's limits and options by vLLM's names; whatever is not given is what vLLM would choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import (
    IS_NUMBER,
    AtLeastOne,
    Count,
    Day,
    Name,
    NotNegative,
    Positive,
    Settings,
    Share,
    Switch,
)

KvCacheDtype = Literal[
    "auto",
    "bfloat16",
    "float16",
    "fp8",
    "fp8_e4m3",
    "fp8_e5m2",
    "int8_per_token_head",
    "fp8_per_token_head",
    "int4_per_token_head",
    "nvfp4",
    "nvfp4_4over6",
    "turboquant_k8v4",
    "turboquant_4bit_nc",
    "turboquant_k3v4_nc",
    "turboquant_3bit_nc",
    "ultraquant_4bit",
    "fp8_ds_mla",
    "nvfp4_ds_mla",
]
All2AllBackend = Literal[
    "allgather_reducescatter",
    "deepep_high_throughput",
    "deepep_low_latency",
    "deepep_v2",
    "flashinfer_nvlink_one_sided",
    "flashinfer_nvlink_two_sided",
    "nixl_ep",
]
Quantization = Literal["none", "fp8", "int8", "w8a16", "int4", "awq", "gptq", "fp4", "nvfp4", "mxfp4"]


class DraftsOfClass(Settings):
    """Drafts of one class of requests, where they are others than those of all; what is not given is as for all."""

    acceptance: Share | None = None
    """Probability that a drafted token is accepted, given that all before it were."""
    acceptance_by_position: tuple[Share, ...] = ()
    """Share of a step's first, second, ... drafts that are accepted, instead of `acceptance`."""
    acceptance_std: Share | None = None
    """Standard deviation of `acceptance` between requests."""
    drafted_share: Annotated[float, Field(gt=0, le=1), IS_NUMBER] | None = None
    """Share of the steps that have drafts, with method ngram."""
    drafted_run_steps: Annotated[float, Field(ge=1), IS_NUMBER] | None = None
    """Mean number of steps in a row that have drafts, with method ngram."""


class SpeculativeConfig(Settings):
    """Speculative decoding."""

    method: Literal["eagle", "mtp", "draft_model", "ngram"] = "eagle"
    """How tokens are drafted."""
    num_speculative_tokens: Annotated[int, Field(ge=1, le=256), IS_NUMBER]
    """Tokens drafted per request and step."""
    num_speculative_tokens_per_batch_size: tuple[tuple[AtLeastOne, AtLeastOne, Count], ...] = ()
    """Drafts by requests in the step, as `[[1, 8, 3], [9, 64, 1]]` (from, to, drafts), at most the number above;
    a number that is in no row has the drafts of the row before. Always all unless given."""
    acceptance: Share | None = None
    """Probability that a drafted token is accepted, given that all before it were; this, or `acceptance_by_position`,
    must be given."""
    acceptance_by_position: tuple[Share, ...] = ()
    """Share of a step's first, second, ... drafts that are accepted, one for each, as vLLM logs and counts them
    (`num_accepted_tokens_per_pos` by drafts): [0.8, 0.6, 0.45]; they do not rise."""
    acceptance_std: Share = 0.0
    """Standard deviation of `acceptance` between requests, each of which has its own; 0 where all have the same."""
    drafted_share: Annotated[float, Field(gt=0, le=1), IS_NUMBER] = 1.0
    """Share of the steps that have drafts, with method ngram: what is looked up is not always found."""
    drafted_run_steps: Annotated[float, Field(ge=1), IS_NUMBER] | None = None
    """Mean number of steps in a row that have drafts, with method ngram: an answer that copies from its prompt is found
    for many. Unless given, whether a step has drafts says nothing of the next."""
    by_class: dict[Name, DraftsOfClass] = {}
    """What is otherwise for some classes of requests, as `{code: {acceptance: 0.85}}`."""
    model: str | None = None
    """Model that drafts, with method draft_model: of the catalog, or a Hugging Face config.json."""


class Throughput(Settings):
    """What one replica does at full load, as measured or assumed, instead of what is simulated from its hardware."""

    output_tokens_per_s: Positive
    """Output tokens per second of a full replica, while it computes no prompts."""
    input_tokens_per_s: Positive | None = None
    """Prompt tokens per second while it does nothing else; prompts take no time unless given."""
    tpot_s: NotNegative | None = None
    """Least time per output token, as of a single request; 0 unless given."""
    source: str | None = None
    """Where the figures come from."""
    date: Day | None = None
    """Their day, as 2026-11-26."""


class EplbConfig(Settings):
    """Balancing of the load over experts."""

    num_redundant_experts: Annotated[int, Field(ge=0, le=16_384), IS_NUMBER] = 0
    """Copies of busy experts in each layer, dealt out over the GPUs with the others."""


class PrefixCacheResets(Settings):
    """Times at which each replica forgets its prefix cache, as after new weights (vLLM's `/reset_prefix_cache`)."""

    every_s: Positive
    """Seconds from one to the next, the first of them after the start."""
    reset_running_requests: Switch = False
    """Preempt those who run first: their prompts and answers so far are computed again. Else a replica at which any
    request holds KV blocks keeps its cache, as vLLM does."""
    reset_connector: Switch = False
    """Forget what the memory of the CPU has (`kv_offloading_size`) as well."""


class KvConnector(Settings):
    """A store of KV caches beside the replicas, which share it: it has every beginning of a prompt that came before.

    What a replica does not have in its own prefix cache it loads over its link, apart from the steps."""

    gb_per_s_per_gpu: Positive
    """Speed at which a GPU loads its part, in GB/s."""
    latency_s: NotNegative = 0.0
    """From the end of a load to its being noticed."""


class OffloadingConfig(Settings):
    """What vLLM's `OffloadingConnector` keeps in the memory of the CPU (`kv_connector_extra_config`)."""

    blocks_per_chunk: Annotated[int, Field(ge=1, le=4096), IS_NUMBER] | None = None
    """Blocks that are copied together, 1 unless `block_size` says otherwise."""
    block_size: Annotated[int, Field(ge=1, le=1_000_000), IS_NUMBER] | None = None
    """Tokens that are copied together, a multiple of the GPU's block; instead of `blocks_per_chunk`."""
    eviction_policy: Literal["lru", "arc"] = "lru"
    """Which chunks make room: those used longest ago, or by how often they are used as well (ARC)."""
    store_threshold: Count = 0
    """Times that a chunk must have been offered before it is stored; below 2 it always is."""
    max_tracker_size: Annotated[int, Field(ge=1, le=10_000_000), IS_NUMBER] = 64_000
    """Most chunks whose offers are counted, with `store_threshold`."""
    offload_prompt_only: Switch = True
    """Do not store blocks of generated tokens."""


class GpuPower(Settings):
    """Power of one GPU, as measured or stated, instead of the catalog's."""

    serving_w: NotNegative
    """While a step runs, whatever its batch."""
    idle_w: NotNegative
    """With a model loaded and no step running."""


class EngineSettings(Settings):
    """One serving engine; defaults are vLLM's."""

    version: str | None = None
    """vLLM version, as 0.11.0: its overheads are simulated; the newest known unless given."""
    endpoint: Literal["chat", "completions"] = "chat"
    """What clients call: chats, whose messages the API process renders by the model's template before the engine hears
    of them, or completions, whose prompts it takes as they are."""
    dtype: Literal["auto", "bfloat16", "float16"] = "auto"
    """Type of activations, and of weights that are not quantized; auto is the model's own."""
    quantization: Quantization | None = None
    """Format of the weights; the model's own unless given, none for weights in `dtype`."""
    kv_cache_dtype: KvCacheDtype = "auto"
    """Type of the KV cache; auto is the checkpoint's, else that of the activations."""
    block_size: Annotated[int, Field(ge=1, le=65_536), IS_NUMBER] = 16
    """Tokens in one KV block."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1), IS_NUMBER] | None = None
    """Share of GPU memory the engine may use; vLLM's default unless given: 0.92, and 0.9 before 0.20."""
    num_gpu_blocks_override: Annotated[int, Field(ge=1, le=2**31 - 1), IS_NUMBER] | None = None
    """KV blocks, instead of the number that the memory plan gives."""
    max_num_seqs: Annotated[int, Field(ge=1, le=65_536), IS_NUMBER] | None = None
    """Most requests running at once; vLLM's default for the GPU unless given."""
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=1_048_576), IS_NUMBER] | None = None
    """Token budget of one step; vLLM's default for the GPU unless given."""
    max_num_active_seqs: Annotated[int, Field(ge=1, le=65_536), IS_NUMBER] | None = None
    """Most requests running at once, below the `max_num_seqs` that memory is kept for; the same unless given."""
    max_num_scheduled_tokens: Annotated[int, Field(ge=1, le=1_048_576), IS_NUMBER] | None = None
    """Tokens that one plan holds at most, within the token budget of a step; the same unless given."""
    max_model_len: Annotated[int, Field(ge=1, le=2**31 - 1), IS_NUMBER] | None = None
    """Longest prompt + output in tokens; the model's context, or what fits in memory, unless given."""
    enable_prefix_caching: Switch = True
    """Reuse KV blocks of equal prompt beginnings."""
    prefix_cache_resets: PrefixCacheResets | None = None
    """Times at which the prefix cache is forgotten; never unless given."""
    kv_connector: KvConnector | None = None
    """Store of KV caches beside the replicas; none unless given."""
    kv_offloading_size: Positive | None = None
    """GiB of the CPU's memory for KV blocks of each replica, of all its GPUs together; none unless given."""
    kv_connector_extra_config: OffloadingConfig | None = None
    """What is kept there, and what makes room; vLLM's defaults unless given."""
    disable_hybrid_kv_cache_manager: Switch | None = None
    """Keep all tokens in every layer, also where it reads a window or a chunk of them; vLLM's choice unless given."""
    enable_chunked_prefill: Switch = True
    """Let a prompt be computed over several steps."""
    long_prefill_token_threshold: Count = 0
    """Most prompt tokens of one request in one step while others are present; 0 is off."""
    long_prefill_token_threshold_adaptive: Switch = False
    """Let that grow to an equal part of the token budget where few requests are present."""
    prefill_schedule_interval: Annotated[int, Field(ge=1, le=1_000_000), IS_NUMBER] = 1
    """Plans from one with prompts to the next while others decode; 1 is each. From vLLM 0.33 on."""
    max_loras: Annotated[int, Field(ge=1, le=10_000), IS_NUMBER] = 1
    """Adapters in one step, where requests ask for any."""
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    """Largest rank of an adapter, for which the engine keeps memory where requests ask for any."""
    disable_chunked_mm_input: Switch = False
    """Do not compute a part of a picture in a step."""
    scheduling_policy: Literal["fcfs", "priority"] = "fcfs"
    """Order of the waiting queue."""
    scheduler_reserve_full_isl: Switch = True
    """Admit a request only if its whole prompt fits."""
    watermark: Annotated[float, Field(ge=0, lt=1), IS_NUMBER] = 0.0
    """Share of the KV blocks that an admission leaves free."""
    async_scheduling: Literal["auto"] | Switch | None = None
    """Plan a step while the one before it is computed: auto (as unless given) where vLLM does, true, or false with the
    host's time before each step."""
    batching: Literal["continuous", "static", "one_at_a_time"] = "continuous"
    """Continuous is vLLM; the others show what it is worth."""
    max_cudagraph_capture_size: Annotated[int, Field(ge=1, le=65_536), IS_NUMBER] | None = None
    """Most tokens of a step that runs as a captured graph; unless given, twice `max_num_seqs` and at most 512."""
    fuse_allreduce_rms: Switch | None = None
    """Let all-reduces take the norm after them along, where the GPU can; vLLM's choice unless given."""
    moe_backend: Literal["auto", "marlin"] = "auto"
    """Kernel of routed experts: vLLM's choice for the GPU and version, or Marlin's for 4-bit weights, which is slower
    with many tokens."""
    enable_expert_parallel: Switch = False
    """Spread experts over the GPUs of a replica instead of cutting each one."""
    all2all_backend: All2AllBackend = "allgather_reducescatter"
    """How ranks that share experts (`data_parallel_size`) exchange tokens: gathering all of them, as vLLM does unless
    told, or sending each to the GPUs of its experts (all others)."""
    eplb_config: EplbConfig | None = None
    """Redundant experts, with `enable_expert_parallel`; none unless given."""
    profile: str | None = None
    """Measured profile (`servecast calibrate fit`), from the scenario's folder; instead of the GPU's own step times."""
    throughput: Throughput | None = None
    """Throughput of a replica that is given, instead of step times."""
    gpu_power: GpuPower | None = None
    """Power of a GPU that is given, instead of the catalog's."""
    data_parallel_size: Annotated[int, Field(ge=1, le=4096), IS_NUMBER] = 1
    """Replicas that each compute attention for their own requests and share one set of experts."""
    speculative_config: SpeculativeConfig | None = None
    """Speculative decoding; off unless given."""
