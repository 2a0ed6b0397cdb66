"""The search for sizes: which numbers of replicas and which autoscalers meet the SLO, and which of them costs least."""
