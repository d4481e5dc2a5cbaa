"""The processes of `fabric-jobs dev` and `demo`: broker, token issuer, facade and executor."""
