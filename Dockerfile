# The programs and the graph on a bare Debian:
#
#   docker build -t vlsi .
#   docker run -v "$PWD/runs":/work/runs vlsi make distill-tiny
#
# docs/INSTALL.md says the same of machines without an engine.
FROM swift:6.3-bookworm AS build
# The libraries make installs itself (pipeline/system.sh).
RUN apt-get update && apt-get install -y --no-install-recommends make
WORKDIR /source
COPY Package.swift Makefile LICENSE ./
COPY Sources Sources
COPY Tests Tests
COPY pipeline pipeline
COPY data data
RUN make install PREFIX=/opt/vlsi

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends make libopenblas0-pthread libdnnl2 \
    liblmdb0 libzstd1 libxxhash0 libturbojpeg0 libspng0 libwebp7 libwebpdemux2 libgif7 \
    libprotobuf-c1 libarchive13 libstdc++6 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/vlsi /opt/vlsi
COPY LICENSE /opt/vlsi/share/vlsi/
ENV PATH=/opt/vlsi/bin:$PATH
WORKDIR /work
RUN ln -s /opt/vlsi/share/vlsi/Makefile /opt/vlsi/share/vlsi/pipeline /opt/vlsi/share/vlsi/data .
CMD ["make", "help"]
