"""Runners collect experience and train, one iteration after the other."""
