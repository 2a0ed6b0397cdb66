"""From months, bills and trials to a decision: who is cheapest, for how long, and what would change it."""
