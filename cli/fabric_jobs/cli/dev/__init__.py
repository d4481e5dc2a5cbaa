"""What `fabric-jobs dev` and `fabric-jobs demo` run: broker, token issuer, facade and executor."""
