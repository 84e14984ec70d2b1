"""Language models behind one small protocol: real, recorded and scripted ones."""
