"""The smallest fleet that meets the service levels."""
