"""Commands on jobs: decide, append to the log, wait for the replica; and reads of jobs."""
