"""The rules engine: judges a submission against plans; pure functions of values."""
