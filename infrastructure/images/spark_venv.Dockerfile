# The Python environment of the Spark jobs, packed on what EMR 7 and EMR Serverless 7 run: Amazon Linux 2023.
# Built by `make package-spark-env`; the archive is all that leaves the image.
ARG BASE_IMAGE=public.ecr.aws/amazonlinux/amazonlinux:2023
FROM ${BASE_IMAGE}
# Python is built here, without a shared libpython: the nodes' own is 3.9, and one from a package would look
# for its library and its standard library at places that the nodes do not have.
ARG PYTHON_VERSION=3.11.14
ARG PYTHON_SHA256=8d3ed8ec5c88c1c95f5e558612a725450d2452813ddad5e58fdb1a53b1209b78
RUN dnf install -y --allowerasing gcc make tar gzip xz findutils curl openssl-devel bzip2-devel libffi-devel \
      zlib-devel xz-devel sqlite-devel && dnf clean all
RUN curl -fsSLo /tmp/python.tar.xz "https://www.python.org/ftp/python/${PYTHON_VERSION}/Python-${PYTHON_VERSION}.tar.xz" \
 && echo "${PYTHON_SHA256}  /tmp/python.tar.xz" | sha256sum -c - \
 && tar -xJf /tmp/python.tar.xz -C /tmp && rm /tmp/python.tar.xz \
 && cd "/tmp/Python-${PYTHON_VERSION}" && ./configure --prefix=/opt/python --quiet \
 && make -s -j"$(nproc)" && make -s install && rm -rf "/tmp/Python-${PYTHON_VERSION}"
WORKDIR /build
COPY spark_jobs/requirements.txt spark_jobs/requirements.lock ./
# the lock pins; what the lock holds beyond the requirements (pyspark, Java, test tools) stays outside
RUN /opt/python/bin/python3.11 -m venv --copies environment \
 && environment/bin/pip install --no-cache-dir -q -r requirements.txt -c requirements.lock \
 && cp -rn /opt/python/lib/python3.11/. environment/lib/python3.11/ \
 && rm -rf environment/lib/python3.11/test environment/lib/python3.11/config-3.11-*
# venv-pack makes the paths relative; without pyvenv.cfg what it packed is no venv of some Python, but a Python
# that finds its library beside itself, wherever it is unpacked
RUN environment/bin/pip install --no-cache-dir -q venv-pack==0.2.0 setuptools==80.9.0 \
 && environment/bin/venv-pack -q -p environment -o packed.tar.gz \
 && mkdir /unpacked && tar -xzf packed.tar.gz -C /unpacked && rm /unpacked/pyvenv.cfg packed.tar.gz \
 && tar -czf pyspark_env.tar.gz -C /unpacked .
# unpacked elsewhere, without the Python that it was made with, it must still import everything
RUN mkdir /elsewhere && tar -xzf pyspark_env.tar.gz -C /elsewhere && mv /opt/python /opt/hidden \
 && env -i /elsewhere/bin/python -c "import awkward, boto3, gigatoken, jinja2, matplotlib, numba, numpy, orjson, pandas, pyarrow, py3langid, tokenizers, zstandard"
