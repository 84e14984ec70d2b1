"""Brings what was built to the client's app, with its data, or leaves the app as it was."""
