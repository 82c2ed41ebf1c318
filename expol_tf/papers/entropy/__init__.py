"""How well samplers know the entropy of what they sample."""
