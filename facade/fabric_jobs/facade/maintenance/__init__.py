"""What time and silence decide: timers and leases."""
