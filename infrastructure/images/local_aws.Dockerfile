# The AWS endpoint for docker-compose. Jobs run inside it, so it holds every job's environment.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}
ENV LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /opt/nexus
COPY infrastructure/images/install.sh infrastructure/images/
COPY infrastructure/images/ca/ infrastructure/images/ca/
COPY infrastructure/images/wheels/ infrastructure/images/wheels/
RUN infrastructure/images/install.sh certificates
COPY infrastructure/setup/ infrastructure/setup/
COPY local_aws/requirements.lock local_aws/
RUN infrastructure/images/install.sh environment local_aws 3.12 local_aws
COPY spark_jobs/requirements.lock spark_jobs/
RUN infrastructure/images/install.sh environment spark 3.11 spark_jobs
COPY serving/requirements.lock serving/
RUN infrastructure/images/install.sh environment serving 3.11 serving
COPY training/requirements.lock training/
RUN infrastructure/images/install.sh environment training 3.11 training
COPY training/export/requirements.lock training/export/
RUN infrastructure/images/install.sh environment export 3.11 training/export
# packaging (local_stack.provision) wants Airflow's interpreter, but nothing of Airflow
RUN mkdir -p .venvs/airflow/bin && ln -s ../../local_aws/bin/python .venvs/airflow/bin/python
RUN useradd --uid 10001 --create-home nexus && mkdir -p /var/nexus && chown nexus: /var/nexus
COPY include/ include/
COPY spark_jobs/ spark_jobs/
COPY training/ training/
COPY serving/ serving/
COPY dags/ dags/
COPY plugins/ plugins/
COPY demo/ demo/
COPY local_stack/ local_stack/
COPY local_aws/ local_aws/
COPY infrastructure/__init__.py infrastructure/__init__.py
COPY infrastructure/packaging/ infrastructure/packaging/
COPY infrastructure/mwaa/ infrastructure/mwaa/
COPY infrastructure/emr/ infrastructure/emr/
COPY infrastructure/images/smoke.py infrastructure/images/
COPY requirements.txt ./
ENV PATH=/opt/nexus/.venvs/local_aws/bin:$PATH PYTHONPATH=/opt/nexus:/opt/nexus/plugins \
    NEXUS_ROOT=/opt/nexus NEXUS_STATE=/var/nexus
USER nexus
CMD ["python", "-m", "local_aws", "--root", "/var/nexus/aws", "--port", "4566"]
