"""The real `EngineCore` of vLLM, with its scheduler, over an executor that computes nothing.

KV cache planning, scheduler, KV cache manager, batch queue, connectors and the data-parallel loop are vLLM's own;
layers are described, not built, and tokens come from each request's script.
"""
