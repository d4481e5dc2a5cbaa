"""Clients: the facade's HTTP and gRPC APIs, the token issuer, and the topic of events."""
