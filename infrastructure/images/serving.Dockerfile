# The container behind the load balancer. Settings come by environment variables: serving/settings.py.
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
COPY serving/requirements.lock serving/
RUN infrastructure/images/install.sh environment serving 3.11 serving
RUN useradd --uid 10001 --create-home nexus
COPY include/ include/
COPY serving/ serving/
# inside a container the port is reached from outside; everywhere else the default is 127.0.0.1
ENV PATH=/opt/nexus/.venvs/serving/bin:$PATH PYTHONPATH=/opt/nexus HOST=0.0.0.0 PORT=8080
USER nexus
EXPOSE 8080
CMD ["python", "-m", "serving"]
