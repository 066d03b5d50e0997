"""Inference nodes: the client side, the in-memory one, and the reference node that Penstock brings along."""
