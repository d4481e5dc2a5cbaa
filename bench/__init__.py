"""The benchmark: what is measured, and what it is compared with."""
