"""The one-machine stack: PostgreSQL and Valkey from wheels, and the supervisor over everything."""
