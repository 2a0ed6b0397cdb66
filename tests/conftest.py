"""Lets tests share the modules of this folder: `engine_cases` and `fleet_cases`."""
