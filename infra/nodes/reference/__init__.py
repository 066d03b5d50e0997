"""The reference node: an OpenAI-compatible server with the manners of an engine and a lexicon for a model.

`answering` decides what is said, `pricing` how long that takes, `slots` who is served when, `faults` what
goes wrong on purpose; `engine` puts them together, and `server` is its HTTP. It is not a language model.
"""
