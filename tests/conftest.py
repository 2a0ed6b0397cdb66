"""Lets tests share the modules of this folder: `cost_cases`, `engine_cases` and `fleet_cases`."""
