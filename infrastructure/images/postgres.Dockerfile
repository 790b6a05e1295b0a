# PostgreSQL from Debian's package, so that no other image is needed. Airflow's metadata lives in it.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}
WORKDIR /opt/nexus
COPY infrastructure/images/install.sh infrastructure/images/postgres.sh infrastructure/images/
RUN infrastructure/images/install.sh packages postgresql \
 && mkdir -p /var/lib/nexus && chown postgres: /var/lib/nexus
ENV PGDATA=/var/lib/nexus/data
USER postgres
# fast shutdown
STOPSIGNAL SIGINT
CMD ["/opt/nexus/infrastructure/images/postgres.sh"]
