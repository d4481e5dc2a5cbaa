"""The facade: Fabric's HTTP API and the gRPC status API over one replica of the log."""
