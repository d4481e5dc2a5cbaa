"""Output: tables and notes for people, lines of JSON for scripts, and exit codes."""
