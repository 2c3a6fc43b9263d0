# docker build -t lineup .
# docker run --rm --shm-size=1g -v DATA:/data:ro -v RUNS:/runs lineup \
#   mpirun -n 2 lineup train --data /data --output /runs/market
FROM swift:6.1-bookworm AS build
WORKDIR /src
COPY launch/setup launch/setup
RUN launch/setup
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --product lineup --static-swift-stdlib \
  && cp "$(swift build -c release --show-bin-path)/lineup" /usr/local/bin/lineup

FROM debian:bookworm-slim
RUN apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends \
    openmpi-bin libopenmpi3 libopenblas0-pthread libjpeg62-turbo libssl3 openssh-client openssh-server \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --create-home --uid 1000 lineup
COPY --from=build /usr/local/bin/lineup /usr/local/bin/lineup
COPY configs /opt/lineup/configs
USER lineup
WORKDIR /home/lineup
# sshd for the Kubernetes MPI operator: port 2222, no privileges, keys mounted by the operator.
RUN mkdir -p .ssh && chmod 700 .ssh \
  && printf '%s\n' 'Port 2222' 'HostKey ~/.ssh/id_rsa' 'PidFile /home/lineup/sshd.pid' 'StrictModes no' \
    'AuthorizedKeysFile /home/lineup/.ssh/authorized_keys' > .sshd_config
# Containers forbid the system call that Open MPI copies between processes with.
ENV OMPI_MCA_btl_vader_single_copy_mechanism=none
CMD ["lineup", "doctor"]
