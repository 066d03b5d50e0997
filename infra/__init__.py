"""What runs Penstock, feeds it and watches it: the worker, the nodes, the embedded Kafka, the command line."""
