"""Boxes made with bubblewrap on this machine."""
