"""Prepared requests, kept for as long as their policies are asked about: one for each policy and kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.event import Kind
from schemas.policy import Policy

T = TypeVar("T")

TEMPLATES_MAX = 64
"""Ten policies of five kinds, and some to spare while one is being replaced."""


class Templates(Generic[T]):
    """What `make` has made of policies, the oldest given up first."""

    def __init__(self, make: Callable[[Policy, Kind, str], T]) -> None:
        self._make = make
        self._made: OrderedDict[tuple[int, Kind, str], tuple[Policy, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def of(self, policy: Policy, kind: Kind, model: str) -> T:
        """The one for a policy."""
        # By identity, since hashing a policy costs more than the request; the policy is kept beside its
        # template, so that the identity cannot pass to another.
        key = (id(policy), kind, model)
        known = self._made.get(key)
        if known is None:
            known = (policy, self._make(policy, kind, model))
            self._made[key] = known
            if len(self._made) > TEMPLATES_MAX:
                self._made.popitem(last=False)
        return known[1]
