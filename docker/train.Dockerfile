# The offline half, with the demo's data fetched while building: it is for this machine only, since
# MovieLens may not be redistributed. Do not push this image.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY scripts/install.sh scripts/
COPY models models
COPY training training
ENV PIP_NO_CACHE_DIR=1
RUN scripts/install.sh --no-editable /opt/bbqrec train,cpu \
    && /opt/bbqrec/bin/bbqrec-train demo-data /data/ml-100k

FROM python:3.11-slim-bookworm
WORKDIR /app
COPY --from=build /opt/bbqrec /opt/bbqrec
COPY --from=build /data /app/artifacts
COPY configs configs
COPY --chmod=755 docker/train.sh train.sh
COPY docker/load.py load.py
# A named volume mounted on /app/artifacts starts as a copy of it, owner included.
RUN useradd --system --uid 10001 --no-create-home bbqrec && chown -R 10001 /app/artifacts
ENV PATH=/opt/bbqrec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001
CMD ["/app/train.sh"]
