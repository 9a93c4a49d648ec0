"""A first configuration, from a look at the user's files."""
