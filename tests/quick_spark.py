"""A spark-submit that starts at once: for tests of what a service does around a Spark job."""

from __future__ import annotations

from pathlib import Path

_SUBMIT = r"""#!/bin/sh
# runs the application as a shell script; s3:// is found by the mount table, as Spark finds it
echo "$@" >&2
buckets=
while [ "${1#--}" != "$1" ]; do
  case $2 in spark.hadoop.fs.viewfs.mounttable.*)
    bucket=${2#spark.hadoop.fs.viewfs.mounttable.}
    buckets="$buckets ${bucket%%.linkFallback=*}=${2#*=file://}" ;;
  esac
  shift 2
done
script=$1
for entry in $buckets; do
  case $script in s3://${entry%%=*}/*) script=${entry#*=}/${script#s3://*/} ;; esac
done
shift
exec sh "$script" "$@"
"""


def quick_spark(folder: Path) -> Path:
    """Write the environment into ``folder`` and return its path, for ``[emr] venv`` of an image map."""
    tools = folder / "venv" / "bin"
    tools.mkdir(parents=True)
    for name, script in (("spark-submit", _SUBMIT), ("python", "#!/bin/sh\necho /spark; echo /java\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    return folder / "venv"
