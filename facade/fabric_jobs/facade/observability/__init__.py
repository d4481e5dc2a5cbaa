"""What operators are told: health and gauges."""
