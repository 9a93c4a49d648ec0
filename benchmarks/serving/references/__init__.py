"""What a good engineer writes in a day: the services that ours is compared with over HTTP.

They read the same bundle, serve the same graph or weights, and answer the same items.
"""
