"""The program that runs inside a box as its main process: standard library only, nothing of ours."""
