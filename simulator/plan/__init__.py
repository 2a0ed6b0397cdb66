"""The smallest fleets that meet the service levels, on hardware of choice: the search for sizes, printed."""
