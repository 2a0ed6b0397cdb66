"""Workloads: from arrivals, lengths and shared content to a stream of requests."""
