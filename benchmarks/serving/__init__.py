"""The engine measured: encoder, retrieval, and the service end to end over HTTP."""
