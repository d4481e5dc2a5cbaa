"""The stream to a facade, and calls beside it."""
