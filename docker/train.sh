#!/bin/sh
# One shot: make the demo's bundle, unless there is one.
set -eu
if [ -f /app/artifacts/demo/current/manifest.json ]; then
    echo "there is a bundle already: nothing to train"
    exit 0
fi
exec bbqrec-train run configs/demo.toml
