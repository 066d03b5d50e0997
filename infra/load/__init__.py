"""Traffic of our own: texts and events for a demonstration, the thread that sends them, what came of them.

`up --demo` uses it; the same parts are there for load tests. Nothing here runs in a worker.
"""
