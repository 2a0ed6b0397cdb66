"""Plain-Python reference of one replica: vLLM 0.32.0's scheduler, obvious rather than fast. It is the specification."""
