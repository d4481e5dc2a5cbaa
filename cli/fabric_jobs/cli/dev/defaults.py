"""The addresses of `fabric-jobs dev`, which other commands call by default, and its example job."""

HTTP_ADDRESS = "127.0.0.1:5000"
GRPC_ADDRESS = "127.0.0.1:5001"
ISSUER_ADDRESS = "127.0.0.1:5002"

#: The executor of the examples, as `MODULE:EXECUTOR`.
EXAMPLE = "fabric_jobs.cli.example:executor"
EXAMPLE_ITEM_TYPE = "Contoso.FinanceAnalytics.Forecast"
EXAMPLE_JOB_TYPE = "calculateForecast"
EXAMPLE_PAYLOAD = '{"priority": "high"}'
