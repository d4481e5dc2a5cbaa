"""Kafka: clients, what refuses them, and what a broker can do."""
