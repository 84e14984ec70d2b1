"""The guest: the program that runs in a box as its main process. It uses the standard library only and
imports nothing of the service outside this package."""
