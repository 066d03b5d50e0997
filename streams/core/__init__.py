"""Decisions: synchronous, over plain values, without clock, I/O or event loop."""
