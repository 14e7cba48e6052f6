"""Producers: simulated clients that send pings as an application does."""
