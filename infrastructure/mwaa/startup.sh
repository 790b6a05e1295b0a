#!/bin/sh
# MWAA runs this before every component. The environment's own variables decide which settings hold.
export NEXUS_SETTINGS="${NEXUS_SETTINGS:-prod}"
