"""Observability: health for the probes, and the gauges among the metrics."""
