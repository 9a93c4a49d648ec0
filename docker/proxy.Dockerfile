# HAProxy before the replicas of the service.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends "haproxy=2.6.*" \
    && rm -rf /var/lib/apt/lists/*
COPY docker/haproxy.cfg /etc/haproxy/haproxy.cfg
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8404 && printf 'GET /healthy HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q 200 <&3"]
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
