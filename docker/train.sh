#!/bin/sh
# One shot: make a first bundle, the demo's unless told otherwise, where there is none.
set -eu
if [ -f "/app/artifacts/${BBQREC_OUTPUT:-demo}/current/manifest.json" ]; then
    echo "there is a bundle already: nothing to train"
    exit 0
fi
exec bbqrec-train run "${BBQREC_CONFIG:-configs/demo.toml}"
