#!/bin/sh
# MWAA runs this before every component, with the name of the environment: nexus-llm-<name of the settings>.
export NEXUS_SETTINGS="${NEXUS_SETTINGS:-${AIRFLOW_ENV_NAME#nexus-llm-}}"
: "${NEXUS_SETTINGS:?is empty, because MWAA gives no AIRFLOW_ENV_NAME; set it in infrastructure/mwaa/startup.sh}"
