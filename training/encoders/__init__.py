"""Text and pictures to vectors: frozen encoders, a cache by content, a mask for what is missing."""
