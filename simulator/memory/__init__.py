"""Memory of one vLLM worker, term by term as vLLM finds it at start-up."""
