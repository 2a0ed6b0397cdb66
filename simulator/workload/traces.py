"""Where public traces are published, under which licence, and what their columns are."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workload.trace_file import FORMAT_COLUMNS

_SPLITWISE = (
    "Patel et al., Splitwise: Efficient generative LLM inference using phase splitting, ISCA 2024, arXiv:2311.18677"
)
_AZURE_PAGE = "https://github.com/Azure/AzurePublicDataset/blob/master/AzureLLMInferenceDataset2023.md"
_AZURE_DATA = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/master/data"
_MOONCAKE = (
    "Qin et al., Mooncake: Trading More Storage for Less Computation — A KVCache-centric Architecture for Serving LLM "
    "Chatbot, FAST 2025"
)
_MOONCAKE_PAGE = "https://github.com/kvcache-ai/Mooncake/tree/main/FAST25-release/traces"
_MOONCAKE_DATA = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces"
_BURSTGPT = (
    "Wang et al., BurstGPT: A Real-world Workload Dataset to Optimize LLM Serving Systems, KDD 2025, arXiv:2401.17644"
)


@dataclass(frozen=True, slots=True)
class TraceSource:
    """One published trace.

    Attributes
    ----------
    name : short name; the shipped description, where there is one, is called the same
    page, file : URLs of the publisher's page and of the file itself
    collected : when the requests were recorded, as far as the publisher says
    format : of `load_trace`
    described : a description of it is shipped
    """

    name: str
    title: str
    page: str
    file: str
    licence: str
    citation: str
    collected: str
    format: str
    described: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Upstream columns that are read."""
        return FORMAT_COLUMNS[self.format]


TRACE_SOURCES = (
    TraceSource(
        "azure-llm-2023-conv",
        "Azure LLM inference trace 2023, conversation",
        _AZURE_PAGE,
        f"{_AZURE_DATA}/AzureLLMInferenceTrace_conv.csv",
        "CC-BY-4.0",
        _SPLITWISE,
        "2023-11",
        "azure",
        described=True,
    ),
    TraceSource(
        "azure-llm-2023-code",
        "Azure LLM inference trace 2023, code completion",
        _AZURE_PAGE,
        f"{_AZURE_DATA}/AzureLLMInferenceTrace_code.csv",
        "CC-BY-4.0",
        _SPLITWISE,
        "2023-11",
        "azure",
        described=True,
    ),
    TraceSource(
        "mooncake-conversation",
        "Mooncake FAST'25 trace, conversation",
        _MOONCAKE_PAGE,
        f"{_MOONCAKE_DATA}/conversation_trace.jsonl",
        "Apache-2.0",
        _MOONCAKE,
        "not stated (released 2025-02)",
        "mooncake",
        described=True,
    ),
    TraceSource(
        "mooncake-synthetic",
        "Mooncake FAST'25 trace, synthetic",
        _MOONCAKE_PAGE,
        f"{_MOONCAKE_DATA}/synthetic_trace.jsonl",
        "Apache-2.0",
        _MOONCAKE,
        "not stated (released 2025-02)",
        "mooncake",
        described=True,
    ),
    TraceSource(
        "burstgpt",
        "BurstGPT, the first two months, failures left out",
        "https://github.com/HPMLL/BurstGPT",
        "https://github.com/HPMLL/BurstGPT/releases/download/v1.1/BurstGPT_without_fails_1.csv",
        "CC-BY-4.0",
        _BURSTGPT,
        "not stated (released 2024-01)",
        "burstgpt",
        described=False,
    ),
)
"""Public traces that servecast reads; none is part of the product."""
