# Airflow as on MWAA (same version, same constraints), for docker-compose: all components, by command.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /opt/nexus
COPY infrastructure/images/install.sh infrastructure/images/
COPY infrastructure/images/ca/ infrastructure/images/ca/
RUN infrastructure/images/install.sh certificates
COPY infrastructure/setup/ infrastructure/setup/
COPY requirements.lock ./
RUN infrastructure/images/install.sh environment airflow 3.12 .
RUN useradd --uid 10001 --create-home nexus \
 && mkdir -p /var/airflow/logs /var/nexus && chown -R nexus: /var/airflow /var/nexus
COPY include/ include/
COPY plugins/ plugins/
COPY dags/ dags/
ENV PATH=/opt/nexus/.venvs/airflow/bin:$PATH PYTHONPATH=/opt/nexus:/opt/nexus/plugins \
    NEXUS_ROOT=/opt/nexus AIRFLOW_HOME=/var/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/nexus/dags AIRFLOW__CORE__PLUGINS_FOLDER=/opt/nexus/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/airflow/logs
USER nexus
ENTRYPOINT ["python", "-m", "airflow"]
