"""Tables and all SQL statements."""
