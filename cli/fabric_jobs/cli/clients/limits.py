"""Time limits that the clients of a facade share."""

#: Seconds that a facade may take to answer a call.
TIMEOUT_S = 10.0
#: Seconds that a facade may be away, as during a restart, while a command waits for a job.
MAX_OUTAGE_S = 30.0
