# A Kith node in a container.
#
#   BASE_IMAGE   any image with Python 3.11 or newer, its venv module and pip
#
# Dependencies come from `deploy/wheels/` where `make image` has put them (then nothing is fetched), else from the
# package index. Written for the classic builder too: no BuildKit syntax.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
COPY . .
RUN python3 -m venv /opt/kith \
 && if ls deploy/wheels/kith-*.whl >/dev/null 2>&1; then \
      echo "installing from deploy/wheels" \
      && { /opt/kith/bin/pip install --no-cache-dir --no-index --find-links deploy/wheels kith \
           || { echo "the wheels in deploy/wheels do not fit this image's Python: run 'make image WHEELS=no'," \
                     "or remove deploy/wheels" >&2; exit 1; }; }; \
    else \
      echo "installing from source, dependencies from the package index" \
      && /opt/kith/bin/pip install --no-cache-dir --constraint constraints.txt .; \
    fi \
 && install -m 0644 -t /opt/kith deploy/container/healthcheck.py deploy/container/demo_service.py \
 && /opt/kith/bin/python -m compileall -q -o 0 -o 2 /opt/kith/lib /opt/kith/*.py \
 && /opt/kith/bin/kith version

FROM ${BASE_IMAGE}
COPY --from=build /opt/kith /opt/kith
# Written by hand, because not every base has useradd.
RUN echo 'kith:x:10001:10001:kith:/data:/sbin/nologin' >>/etc/passwd \
 && echo 'kith:x:10001:' >>/etc/group \
 && install -d -o 10001 -g 10001 -m 0700 /data
# A node compiles each module whose bytecode it does not find, Python's own too, and may not keep it. So keep it here.
RUN PYTHONOPTIMIZE=2 /opt/kith/bin/kith node --help >/dev/null
ENV PATH=/opt/kith/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONOPTIMIZE=2 \
    HOME=/data \
    KITH_DATA_DIR=/data \
    KITH_HTTP=0.0.0.0:8400 \
    KITH_GOSSIP=0.0.0.0:8401
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8400/tcp 8401/tcp 8401/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["/opt/kith/bin/python", "-I", "-S", "/opt/kith/healthcheck.py"]
ENTRYPOINT ["kith"]
CMD ["node"]
