"""Runs that were recorded, and are played again; `record` makes them anew."""
