# One image with all services of the shop, the development broker and the command line.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        build-essential cmake ninja-build pkg-config \
        protobuf-compiler libprotobuf-dev protobuf-c-compiler libprotobuf-c-dev \
        libgrpc-dev librdkafka-dev libmicrohttpd-dev libsqlite3-dev libpq-dev libyaml-dev libcurl4-openssl-dev
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY framework framework
COPY proto proto
COPY services services
RUN cmake --preset release -DWEIR_BENCH=OFF && cmake --build build/release && cmake --install build/release --prefix /opt/weir --strip

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libcurl4 libgrpc29 libmicrohttpd12 libpq5 libprotobuf-c1 librdkafka1 libsqlite3-0 libyaml-0-2 && \
    rm -rf /var/lib/apt/lists/* && useradd --system --home-dir /var/lib/shop --create-home shop
COPY --from=build /opt/weir/bin /usr/local/bin
COPY --from=build /opt/weir/etc/shop /etc/shop
COPY --from=build /opt/weir/share/weir /usr/local/share/weir
USER shop
WORKDIR /var/lib/shop
VOLUME /var/lib/shop
