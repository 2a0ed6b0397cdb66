"""The browser application: shows run bundles and starts runs through the public API; it computes nothing itself."""
