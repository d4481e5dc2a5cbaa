"""Start-up: the composition of a replica, and what its settings must fulfil."""
