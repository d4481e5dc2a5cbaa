"""The contract: all that the facade, the executors and the log's subscribers share."""
