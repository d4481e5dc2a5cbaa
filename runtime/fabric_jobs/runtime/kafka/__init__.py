"""Kafka: clients, errors that explain a refused connection, broker capabilities, partitions."""
