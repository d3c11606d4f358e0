# The service as one container: nginx, the server behind it, and supervisord over both.
#
#     docker build -t sounding .
#     docker run -p 8080:8080 -v sounding:/data sounding
#
# With `--build-arg BINARIES=prebuilt` the two programs are taken from dist/ instead of being compiled.

ARG BINARIES=build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --profile dist --locked --package sounding-server --package sounding \
    && install -D --strip --target-directory=/out target/dist/sounding-server target/dist/sounding

FROM scratch AS prebuilt
COPY dist/ /out/

FROM ${BINARIES} AS binaries

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Sounding Board data service" \
      org.opencontainers.image.description="Serves simulation outputs from a data volume, whole or by byte range, behind keys" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# The service's user has a number of its own choosing that stays, since the files on a volume outlive the image.
RUN groupadd --system --gid 900 sounding \
    && useradd --system --uid 900 --gid sounding --home-dir /nonexistent --shell /usr/sbin/nologin sounding \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends nginx supervisor \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt /var/log/nginx/* /var/www

COPY supervisord.conf nginx.conf /etc/sounding/
COPY deploy/entrypoint.py /usr/local/lib/sounding/
COPY --from=binaries /out/ /usr/local/bin/

# Also for whoever comes by `fly ssh console`: the console finds the volume, and draws its lines.
ENV SOUNDING_VOLUME=/data LANG=C.UTF-8
EXPOSE 8080 9091
STOPSIGNAL SIGTERM
# Root, which sets the owners of /data and /run and is the supervisor. nginx is www-data, the server is sounding.
ENTRYPOINT ["/usr/bin/python3", "-I", "/usr/local/lib/sounding/entrypoint.py"]
