#!/bin/sh
# Start PostgreSQL; the first start makes a cluster with the role and database "airflow".
set -eu
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  passwords=$(mktemp)
  printf '%s' "$POSTGRES_PASSWORD" >"$passwords"
  initdb -D "$PGDATA.new" -U airflow --pwfile="$passwords" --auth=scram-sha-256 --encoding=UTF8 >/dev/null
  rm "$passwords"
  echo 'host all all all scram-sha-256' >>"$PGDATA.new/pg_hba.conf"
  echo 'CREATE DATABASE airflow;' | postgres --single -D "$PGDATA.new" postgres >/dev/null
  mv "$PGDATA.new" "$PGDATA" # a folder under the final name is always complete
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
