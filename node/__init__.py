"""The trio program: transports, the driver, the HTTP API, health checks and the `kith` command."""
