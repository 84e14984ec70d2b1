"""Kinds of apps: what a box needs for one, the scaffold it starts from, and its checks."""
