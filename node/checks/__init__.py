"""Health checks: HTTP, TCP and TTL probes of the instances registered here."""
