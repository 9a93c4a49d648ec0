"""What is counted, not learned: which items follow which, and which are described alike."""
