"""Bandits whose optimum is known: correlated actions, two best actions."""
