"""What a provider's result text says, as fields. Pure: knows neither orders, nor the ledger, nor any provider."""
