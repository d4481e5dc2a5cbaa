"""Start-up: builds a replica from its parts, and checks what its settings and Kafka must fulfil."""
