"""What `penstock doctor` looks at: this machine, the embedded Kafka, and what answers. It only looks.

`findings` says what a finding is, `machine` and `services` make them, `examination` puts them in order.
"""
