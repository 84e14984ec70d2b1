"""PostgreSQL and Valkey for one machine, and the supervisor that runs the whole service there."""
