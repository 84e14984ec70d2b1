"""Language models behind one small protocol: real, rehearsed, scripted."""
