"""The policies that Penstock brings along, as data; `infra.policies` says where they lie once installed."""
