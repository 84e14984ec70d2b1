"""The stages themselves, one file each, named as in the table of `plan`."""
