# What SageMaker training and processing jobs run: python -m training.launcher | training.evaluate.
# On AWS the base is the SageMaker PyTorch image; any base with Python 3.12 works for a CPU build.
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
# "training", or "export" for the image of the packaging job
ARG ENVIRONMENT=training
ARG LOCK_FOLDER=training
COPY ${LOCK_FOLDER}/requirements.lock ${LOCK_FOLDER}/
RUN infrastructure/images/install.sh environment ${ENVIRONMENT} 3.11 ${LOCK_FOLDER}
COPY include/ include/
COPY training/ training/
ENV PATH=/opt/nexus/.venvs/${ENVIRONMENT}/bin:$PATH PYTHONPATH=/opt/nexus
ENTRYPOINT []
CMD ["python", "-m", "training.launcher"]
