"""The kinds of apps there are: what a box must hold for each, where the app begins, and its checks."""
