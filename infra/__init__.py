"""What runs Penstock, feeds it and watches it: worker, nodes, embedded Kafka, command line."""
