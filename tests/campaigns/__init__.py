"""The promises of the service at full size: many faults, many clients, much abuse; see docs/campaigns.md."""
