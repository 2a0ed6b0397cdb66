"""From a scenario to results: plan, simulate every topology, check the laws, price, compare."""
