"""Reading, cleaning, splitting and batching interactions."""
