"""What the fault suite is made of: workers as processes, events under numbers, and an audit from outside.

Reading order: `numbers` (what is produced and where), `worker` (the process under test), `crew` (its life and
death), `commits` (what the brokers say of the group), `audit` (what follows from it all), `trial` (one run).
"""
