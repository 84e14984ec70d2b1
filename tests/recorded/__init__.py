"""Recorded runs (tapes), which tests replay; `record` records them again."""
