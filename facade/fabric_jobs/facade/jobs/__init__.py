"""Commands on jobs: decide, append to the log, read back from the replica; and reads of jobs."""
