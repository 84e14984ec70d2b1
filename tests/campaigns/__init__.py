"""The promises of the service at full size: many faults, many clients, much abuse. `make campaigns` runs them;
docs/campaigns.md says what each does and what it came to."""
