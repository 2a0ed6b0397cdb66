"""KV blocks kept in the memory of the CPU, the second tier of the prefix cache (vLLM's `OffloadingConnector`)."""
