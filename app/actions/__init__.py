"""One function per change of the world, named as you would say it; the only room that writes."""
