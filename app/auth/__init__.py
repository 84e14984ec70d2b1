"""Passwords and tokens: what proves that somebody is who they say."""
