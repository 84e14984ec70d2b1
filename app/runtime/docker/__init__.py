"""Boxes as containers of a Docker engine, local or remote. No other package talks to an engine."""
