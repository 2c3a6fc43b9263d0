# docker build -t lineup .
# docker run --rm --shm-size=1g -v DATA:/data:ro -v RUNS:/runs lineup \
#   mpirun -n 2 lineup train --data /data --output /runs/market
# docker stop -t 120 NAME        # checkpoints first
#
# swift-log, as `from:` in Package.swift resolves today, wants the tools of Swift 6.2.
FROM swift:6.2-bookworm AS build
WORKDIR /src
COPY launch/setup launch/setup
RUN launch/setup
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --product lineup --static-swift-stdlib \
  && strip -o /usr/local/bin/lineup "$(swift build -c release --show-bin-path)/lineup"

FROM debian:bookworm-slim
RUN apt-get update -qq \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    openmpi-bin libopenmpi3 libopenblas0-pthread libcairo2 fonts-dejavu-core libjpeg62-turbo libpng16-16 libmatio11 libminizip1 libprotobuf-c1 libisal2 libmicrohttpd12 libssl3 zlib1g \
    openssh-client openssh-server \
  && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
  && useradd --create-home --uid 1000 lineup \
  && install -d -o lineup -g lineup /runs
COPY --from=build /usr/local/bin/lineup /usr/local/bin/lineup
COPY configs /usr/local/share/lineup/configs
# Hosts of a job are containers: sshd listens on 2222 without privileges, with keys that are mounted in ~/.ssh (as the
# Kubernetes MPI operator does), and mpirun's ssh goes there and asks nothing.
COPY launch/ssh_config /etc/ssh/ssh_config.d/lineup.conf
COPY launch/sshd_config /etc/ssh/lineup_sshd_config
USER lineup
WORKDIR /home/lineup
RUN mkdir -m 700 .ssh
# Containers forbid the system call that Open MPI copies between processes with.
ENV OMPI_MCA_btl_vader_single_copy_mechanism=none
# mpirun passes SIGUSR1 on to the ranks, which checkpoint and exit; a SIGTERM of its own lets it kill them within a second.
STOPSIGNAL SIGUSR1
CMD ["lineup", "doctor"]
