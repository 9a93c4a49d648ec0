"""Online: a bundle and a user history in, the next-item top-K out."""
