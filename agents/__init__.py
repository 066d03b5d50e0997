"""Who acts: one file per stage."""
