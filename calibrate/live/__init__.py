"""Watches a running vLLM server through its Prometheus metrics and compares it with a profile."""
