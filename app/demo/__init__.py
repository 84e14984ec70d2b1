"""The client behind `boardroom demo`. It uses the service only through its public API."""
