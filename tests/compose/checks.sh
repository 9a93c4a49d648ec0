#!/usr/bin/env bash
# Checks of a live stack; `docker compose up` must have come up. Run from the project's root.
#   D: the docker client, C: the compose client (default: docker compose)
set -euo pipefail
D=${D:-docker}
C=${C:-"$D compose"}
url=http://127.0.0.1:8000
json='content-type: application/json'

say() { printf 'checks: %s\n' "$*"; }
post() { curl -sS -o /tmp/answer -w '%{http_code}' -H "$json" -d "$1" "$url/recommend"; }
expect() { # BODY STATUS PYTHON-CONDITION-ON-a
    status=$(post "$1")
    [ "$status" = "$2" ] || { say "status $status, want $2, for $1: $(cat /tmp/answer)"; exit 1; }
    python3 -c "import json; a = json.load(open('/tmp/answer')); assert $3, a"
}

put_item() { # ITEM_ID: from within the container, for no key is set
    $C exec -T service python - "$1" <<'PYTHON'
import json, sys, urllib.request as u
body = json.dumps({"title": "A film", "text": {"movie_title": "A film about space"}}).encode()
url = f"http://127.0.0.1:8000/items/{sys.argv[1]}"
u.urlopen(u.Request(url, body, {"content-type": "application/json"}, method="PUT"), timeout=10)
PYTHON
}

tell_events() { # a request a line: from within the container, as above
    $C exec -T service python -c '
import sys, urllib.request as u
for line in sys.stdin:
    u.urlopen(u.Request("http://127.0.0.1:8000/events", line.encode(), {"content-type": "application/json"}), timeout=10)'
}

asked() { curl -fsSG --data-urlencode 'query=sum(bbqrec_requests_total{route="/recommend",status="200"})' http://127.0.0.1:9090/api/v1/query | python3 -c 'import json, sys; print(int(float(json.load(sys.stdin)["data"]["result"][0]["value"][1])))'; }
digest() { curl -fsS "$url/model" | python3 -c 'import json, sys; print(json.load(sys.stdin)["model_version"])'; }
ready() { for _ in $(seq "${1:-60}"); do curl -fsS -o /dev/null "$url/readyz" 2>/dev/null && return; sleep 1; done; say "not ready"; exit 1; }
in_replica() { $C exec -T --index "$1" service python -c "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen('http://127.0.0.1:8000/$2', timeout=10).read())"; }

say "all is up at once, and says how far the training is"
if ! curl -fsS -o /dev/null "$url/readyz" 2>/dev/null; then
    expect '{"history": ["50"]}' 503 'a["status"] == 503'
    curl -fsS "$url/" | grep 'id="waiting"' >/dev/null
    for _ in $(seq 120); do curl -fsS "$url/page/training" 2>/dev/null && break; sleep 1; done
    echo
fi
ready 900

say "readiness, model"
curl -fsS "$url/model" | python3 -c 'import json, sys; m = json.load(sys.stdin); print("checks: serving", m["name"], "on", m["provider"], "cache", m["code_cache"])'

say "a good request, an unknown item, an empty history, a malformed body"
expect '{"history": ["50", "172"], "k": 5}' 200 'len(a["items"]) == 5 and a["fallback"] is None'
expect '{"history": ["50", "nope"]}' 200 'a["unknown_items"] == ["nope"] and len(a["items"]) == 10'
expect '{"history": []}' 200 'a["fallback"] == "popular"'
expect '{"history": ' 422 'a["status"] == 422'

say "containers run as nobody in particular, on a read-only root"
[ "$($C exec -T service id -u)" = 10001 ]
if $C exec -T service touch /here 2>/dev/null; then say "the root is writable"; exit 1; fi

say "the service image has no training package, and no torch"
for module in training lightning torch; do
    if $C exec -T service python -c "import $module" 2>/dev/null; then say "it has $module"; exit 1; fi
done

say "an item is put, and its codes are in Redis under the bundle's digest"
put_item check-1
[ "$($C exec -T redis redis-cli --raw exists "bbqrec:$(digest):codes:check-1")" = 1 ]
[ "$($C exec -T log redis-cli --raw xlen bbqrec:log)" -ge 1 ]

say "the log of changes outlives its Redis and the service"
$C restart log service >/dev/null 2>&1
ready
curl -fsS "$url/items/check-1" >/dev/null

say "three replicas: an item that is put on one is known to the others, and the proxy knows all"
$C up -d --no-build --pull never --no-recreate --scale service=3 >/dev/null 2>&1
for n in 2 3; do for _ in $(seq 60); do in_replica $n readyz >/dev/null 2>&1 && break; sleep 1; done; done
put_item check-3
for n in 2 3; do
    for _ in $(seq 20); do in_replica $n items/check-3 >/dev/null 2>&1 && break; sleep 0.1; done
    in_replica $n items/check-3 >/dev/null
done
for _ in $(seq 100); do curl -fsS -o /dev/null "$url/model"; done

say "another bundle goes live on all of them, and no request fails meanwhile"
swapped=$($C run --rm -T --no-deps --entrypoint python train - <<'PYTHON'
import pathlib, shutil
from models.contract import bundle
from models.contract.manifest import MANIFEST, read_manifest
from models.contract.store import BundleStore
store = BundleStore(pathlib.Path("/app/artifacts/demo"))
current = store.find("current")
told = {name: value for name, value in read_manifest(current)[0] if name not in ("files", "schema_version")}
with store.new() as partial:
    for path in current.iterdir():
        if path.name != MANIFEST:
            shutil.copy(path, partial)
    bundle.write_manifest(partial, told | {"name": "swapped"})
    digest = read_manifest(partial)[1]
store.activate(digest)
print(digest)
PYTHON
)
for n in 1 2 3; do
    for _ in $(seq 100); do in_replica $n model | grep "$swapped" >/dev/null && break; expect '{"history": ["50"], "k": 3}' 200 'len(a["items"]) == 3'; done
    in_replica $n model | grep "$swapped" >/dev/null
done

say "traffic, then what every panel of the dashboards asks"
for n in $(seq 1 300); do post "{\"history\": [\"$((n % 90 + 1))\", \"x$n\"]}" >/dev/null; sleep 0.05; done
python3 tests/compose/ask_prometheus.py http://127.0.0.1:9090

say "--profile load: requests come by themselves"
before=$(asked)
$C --profile load up -d --no-build --pull never --no-recreate --no-deps load >/dev/null 2>&1
sleep 30
$C --profile load rm -sf load >/dev/null 2>&1
sleep 6 # until it is scraped
after=$(asked)
say "$((after - before)) requests"
[ $((after - before)) -ge 300 ]

say "Redis stops; the service goes on"
$C stop redis >/dev/null 2>&1
put_item check-2
for _ in $(seq 20); do expect '{"history": ["50", "nope"], "k": 5}' 200 'len(a["items"]) == 5'; done
curl -fsS "$url/readyz" >/dev/null
curl -fsS "$url/metrics" | grep '^bbqrec_cache_errors_total [1-9]' >/dev/null

say "Grafana is healthy"
curl -fsS http://127.0.0.1:3000/api/health >/dev/null

say "images add no more to what they are made from than is said"
megabytes() { echo $(($($D image inspect -f '{{.Size}}' "$1") / 1000000)); }
for of in service:560:python:3.11-slim-bookworm train:1750:python:3.11-slim-bookworm proxy:100:debian:bookworm-slim; do
    IFS=: read -r name most from tag <<<"$of"
    size=$(($(megabytes "bbqrec-$name") - $(megabytes "$from:$tag")))
    say "bbqrec-$name: $size MB"
    [ "$size" -le "$most" ] || { say "more than $most"; exit 1; }
done
say "a shop of one's own: trained, and served when it is"
BBQREC_SHOP=$(mktemp -d)
chmod 755 "$BBQREC_SHOP"
export BBQREC_SHOP BBQREC_CONFIG=shop/shop.toml BBQREC_OUTPUT=shop
python3 tests/compose/shop.py "$BBQREC_SHOP"
$C up -d --no-build --pull never train service >/dev/null 2>&1
ready 300
curl -fsS "$url/model" | grep '"name":"shop"' >/dev/null
expect '{"history": ["kind-3-item-1", "kind-3-item-2"], "k": 5}' 200 'len(a["items"]) == 5'

say "--profile train: what its users do becomes the next bundle"
first=$(digest)
python3 tests/compose/shop.py | tell_events
for _ in $(seq 90); do [ -n "$($C exec -T service find /events -name '*.parquet' -path '*done*')" ] && break; sleep 1; done
$C --profile train up -d --no-build --pull never --no-recreate follow >/dev/null 2>&1
for _ in $(seq 300); do [ "$(digest)" = "$first" ] || break; sleep 1; done
$C logs --no-log-prefix follow | tail -3
[ "$(digest)" != "$first" ]
say "all passed"
