"""What training and service share. Imports neither of them."""
