"""What comes in before a route sees it: the protocols that uvicorn serves, paths, origins, and JSON."""
