"""The scripted client behind `boardroom demo`: it knows the service only through its public door."""
