"""What is generated from the messages: JSON Schemas, TypeScript types, tables of the documentation.

All of it is committed, and a test holds it to the structs. `python -m schemas.export` writes it anew.
"""
