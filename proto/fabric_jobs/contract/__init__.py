"""The contract: what the facade, the executors and every subscriber of the topics share."""
