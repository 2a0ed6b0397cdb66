"""The site of the documentation: what `mkdocs` needs beyond its configuration."""
