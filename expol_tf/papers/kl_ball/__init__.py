"""A Gaussian and a flow in a KL ball, and at fixed entropies."""
