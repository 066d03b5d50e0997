"""How it travels, and what is decided about it on the way."""
