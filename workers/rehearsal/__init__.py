"""A scripted cast in place of a language model: it reads the client's words by simple rules."""
