"""Packs on sequential nodes: how long they take, beside what they could take at best."""
