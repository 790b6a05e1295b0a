#!/bin/sh
# MWAA runs this before every component. The variables of the MWAA environment choose the settings.
export NEXUS_SETTINGS="${NEXUS_SETTINGS:-prod}"
