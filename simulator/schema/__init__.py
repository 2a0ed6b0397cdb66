"""The scenario file as data models: the only border where YAML becomes Python."""
