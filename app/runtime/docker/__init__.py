"""Boxes as containers of a Docker engine, wherever that runs; the only room that speaks to one."""
