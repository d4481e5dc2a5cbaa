"""The contract that the facade, the executors and every subscriber of the topics share.

It is types, names and keys: no module here loads a Kafka client, gRPC or settings.
"""
