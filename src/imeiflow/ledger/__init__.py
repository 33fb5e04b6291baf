"""The only truth: every job, order, attempt and its evidence, durable before anyone is told. Knows the domain only."""
