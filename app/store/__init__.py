"""The rows: tables, and every SQL statement there is."""
