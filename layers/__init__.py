"""The spatial library: plans, editions, layers and features in PostGIS."""
