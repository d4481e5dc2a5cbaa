"""A kit for testing handlers: it runs a job in memory, without Kafka, a facade or waiting.

```python
def test_a_forecast_is_calculated() -> None:
    outcome = run_job(executor, "Contoso.FinanceAnalytics.Forecast", "calculateForecast")

    assert outcome.status == "Completed"
```
"""

from fabric_jobs.executor.testing.harness import run_job
from fabric_jobs.executor.testing.outcome import Outcome

__all__ = ["Outcome", "run_job"]
