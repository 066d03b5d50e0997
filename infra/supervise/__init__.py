"""Keeps the children of `penstock up`: starts, watches, restarts and stops them; leaves no process behind.

Reading order: `deciding` (what to do about a death), `child` (one process and its log), `supervisor` (all of
them), `tree` (who the children of `up` are), `conducting` (start, run, stop).
"""
