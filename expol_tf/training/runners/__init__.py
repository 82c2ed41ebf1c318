"""Runners: what collects and trains, one iteration after the other."""
