"""What is known of each engine: how it is asked (`table`), how it replies (`wires`), its load (`loads`)."""
