"""Clients of a facade: HTTP, gRPC, tokens, and the topic."""
