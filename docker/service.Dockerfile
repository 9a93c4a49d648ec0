# The online half: models/ and service/, and nothing of training.
FROM python:3.11-slim-bookworm AS build
ARG EXTRAS=serve,cpu,events
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY scripts/install.sh scripts/
COPY models models
COPY service service
ENV PIP_NO_CACHE_DIR=1
RUN scripts/install.sh --no-editable /opt/bbqrec "$EXTRAS"

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home bbqrec && install -d -o 10001 /events
COPY --from=build /opt/bbqrec /opt/bbqrec
ENV PATH=/opt/bbqrec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    BBQREC_HOST=0.0.0.0 BBQREC_PORT=8000 BBQREC_BUNDLE=/bundle \
    BBQREC_EVENTS=/events
USER 10001
EXPOSE 8000
# That it lives: without a bundle yet it does, and says so at /readyz, which is for whoever sends it
# requests.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["bbqrec-serve"]
