"""How a family of models is asked and how its answer is read: one module for each, `table` chooses.

A format makes an `Asking` of a policy, a kind, a model and an engine's dialect, once; then `build(event)`
gives the requests and `parse(replies)` the judgement. What fits which wire is `streams.core.requests`.
"""
