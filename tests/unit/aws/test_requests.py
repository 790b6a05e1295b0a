"""Request bodies against botocore's own models: AWS would refuse what these refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from include.aws.catalogue import crawler_request
from include.aws.ecs import create_service, task_definition, update_service
from include.aws.emr_cluster import cluster_request
from include.aws.emr_serverless import application_request, serverless_job
from include.aws.emr_steps import spark_step
from include.aws.engines import Engine
from include.aws.glue import glue_job, job_definition
from include.aws.job_specs import request_hash
from include.aws.processing import evaluation_job, export_job
from include.aws.registry import package_request
from include.aws.training import TrainingLimits, training_job
from include.contracts.errors import SettingsError
from include.contracts.manifests import CorpusManifest, ModelManifest, ParentRef, TrainingRequest
from include.contracts.records import to_plain
from include.contracts.storage import CorpusLayout, S3Uri
from include.planning.published import latest_corpus
from include.recipes.corpus import CorpusRecipe
from include.settings import load_settings

SETTINGS = [load_settings("dev"), load_settings("prod")]
PARENT = ParentRef("s3://models-bucket/runs/r/model/manifest.json", "a" * 64)
CORPUS = CorpusManifest(
    version="v", root_uri="s3://processed-bucket/corpus/v/", request=PARENT, documents_in=1, documents_kept=1,
    documents_held_out=0, dropped={}, tokens=1, tokens_held_out=0, subsets={}, tokenizer_sha256="",
    vocabulary_size=258, token_dtype="uint16", end_of_text_id=0, shards=(), held_out_shards=(), files=(),
)  # fmt: skip
REQUEST = TrainingRequest("r", "s3://models-bucket/runs/r/", PARENT, {})
SPOT = TrainingLimits(True, 3600, 7200)
WRITTEN = ParentRef("s3://models-bucket/runs/r/training_request.json", "b" * 64)


def check(service: str, operation: str, request: dict[str, Any]) -> None:
    model = boto3.client(service, region_name="us-east-1").meta.service_model.operation_model(operation)
    report = ParamValidator().validate(request, model.input_shape)
    assert not report.has_errors(), report.generate_report()


CODE = S3Uri("processed-bucket", "artifacts/0a1b/")
REQUEST_URI = S3Uri("processed-bucket", "corpus/v/request.json")


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.name)
class TestEveryRequestIsValid:
    def test_cluster(self, settings: Any) -> None:
        check("emr", "RunJobFlow", cluster_request(settings, "name", CODE))

    def test_step(self, settings: Any) -> None:
        step = spark_step("clean", CODE, S3Uri("processed-bucket", "corpus/v/request.json"))
        check("emr", "AddJobFlowSteps", {"JobFlowId": "j-1", "Steps": [{**step, "Name": "clean-g1"}]})

    def test_serverless_application_and_job(self, settings: Any) -> None:
        check("emr-serverless", "CreateApplication", {"clientToken": "t", **application_request(settings)})
        run = serverless_job(settings, "clean", CODE, REQUEST_URI)["run"]
        place = {"applicationId": "00a", "clientToken": "name-g1", "name": "name-g1"}
        check("emr-serverless", "StartJobRun", place | run)

    def test_glue_definition_and_run(self, settings: Any) -> None:
        job = glue_job(settings, "clean", CODE, REQUEST_URI)
        check("glue", "CreateJob", job["definition"])
        check("glue", "StartJobRun", {"JobName": "n", "Arguments": job["arguments"]})

    def test_crawler(self, settings: Any) -> None:
        request = crawler_request(settings, CorpusLayout.of("processed-bucket", "v"))
        check("glue", "CreateCrawler", request)
        check("glue", "UpdateCrawler", request)

    def test_training(self, settings: Any) -> None:
        job = training_job(settings, REQUEST, WRITTEN, CORPUS, SPOT).request
        check("sagemaker", "CreateTrainingJob", {"TrainingJobName": "name", **job})

    def test_processing(self, settings: Any) -> None:
        folder = S3Uri("models-bucket", "runs/r/x/")
        for job in (
            evaluation_job(settings, PARENT, PARENT, PARENT, folder, anchor=PARENT).request,
            export_job(settings, PARENT, folder).request,
        ):
            check("sagemaker", "CreateProcessingJob", {"ProcessingJobName": "name", **job})

    def test_package(self, settings: Any) -> None:
        model = ModelManifest("safetensors", "r", 1, PARENT, PARENT, 1, 8, ())
        check(
            "sagemaker", "CreateModelPackage", package_request(settings, model, PARENT, {"loss_last": "1.0"})
        )

    def test_service(self, settings: Any) -> None:
        check("ecs", "RegisterTaskDefinition", task_definition(settings, PARENT))
        check("ecs", "CreateService", create_service(settings, "arn:task", "arn:group"))
        check("ecs", "UpdateService", update_service(settings, "arn:task"))


def test_step_passes_the_request_and_the_code_to_spark_submit() -> None:
    arguments = spark_step("clean", CODE, S3Uri("processed-bucket", "r.json"))["HadoopJarStep"]["Args"]
    assert arguments[0] == "spark-submit"
    archive = arguments[arguments.index("--py-files") + 1]
    assert archive == "s3://processed-bucket/artifacts/0a1b/spark_jobs.zip"
    assert arguments[-3:] == [
        "s3://processed-bucket/artifacts/0a1b/jobs/clean.py", "--request", "s3://processed-bucket/r.json",
    ]  # fmt: skip


def fleets(settings: Any) -> dict[str, dict[str, Any]]:
    request = cluster_request(settings, "name", CODE)
    return {fleet["InstanceFleetType"]: fleet for fleet in request["Instances"]["InstanceFleets"]}


def test_only_task_nodes_are_spot_and_they_are_diversified() -> None:
    found = fleets(SETTINGS[1])
    assert [role for role, fleet in found.items() if fleet.get("TargetSpotCapacity")] == ["TASK"]
    assert found["MASTER"]["TargetOnDemandCapacity"] == 1
    spot = found["TASK"]["LaunchSpecifications"]["SpotSpecification"]
    assert spot["AllocationStrategy"] == "price-capacity-optimized"
    assert spot["TimeoutAction"] == "SWITCH_TO_ON_DEMAND"
    resize = found["TASK"]["ResizeSpecifications"]["SpotResizeSpecification"]
    assert resize["AllocationStrategy"] == spot["AllocationStrategy"]
    assert len(found["TASK"]["InstanceTypeConfigs"]) >= 5
    assert len(cluster_request(SETTINGS[1], "name", CODE)["Instances"]["Ec2SubnetIds"]) > 1


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.name)
def test_scaling_adds_task_nodes_alone(settings: Any) -> None:
    limits = cluster_request(settings, "name", CODE)["ManagedScalingPolicy"]["ComputeLimits"]
    core = fleets(settings)["CORE"]["TargetOnDemandCapacity"]
    assert limits["MaximumCoreCapacityUnits"] == limits["MaximumOnDemandCapacityUnits"] == core
    assert limits["MaximumCapacityUnits"] > core >= limits["MinimumCapacityUnits"]


def test_application_masters_go_to_core_nodes() -> None:
    found = cluster_request(SETTINGS[1], "name", CODE)["Configurations"]
    (yarn,) = (entry["Properties"] for entry in found if entry["Classification"] == "yarn-site")
    assert yarn["yarn.node-labels.enabled"] == "true"
    assert yarn["yarn.node-labels.am.default-node-label-expression"] == "CORE"


def test_a_packed_environment_reaches_the_containers_and_the_driver_on_the_master_node() -> None:
    archive = "s3://processed-bucket/env/pyspark_env.tar.gz"
    step = spark_step("clean", CODE, S3Uri("processed-bucket", "r.json"), archive)
    arguments = step["HadoopJarStep"]["Args"]
    assert arguments[arguments.index("--archives") + 1] == f"{archive}#environment"
    assert "spark.pyspark.python=./environment/bin/python" in arguments
    assert "spark.pyspark.driver.python=/opt/nexus/environment/bin/python" in arguments
    (action,) = cluster_request(SETTINGS[1], "name", CODE)["BootstrapActions"]
    assert action["ScriptBootstrapAction"] == {
        "Path": "s3://processed-bucket/artifacts/0a1b/emr_python_environment.sh",
        "Args": [SETTINGS[1].emr.python_archive],
    }


def test_without_an_archive_the_clusters_own_python_runs() -> None:
    step = spark_step("clean", CODE, S3Uri("processed-bucket", "r.json"))
    assert not any("environment" in word for word in step["HadoopJarStep"]["Args"])
    assert cluster_request(SETTINGS[0], "name", CODE)["BootstrapActions"] == []


def test_an_application_keeps_nothing_warm_and_stops_by_itself() -> None:
    for settings in SETTINGS:
        request = application_request(settings)
        assert "initialCapacity" not in request
        assert request["autoStopConfiguration"]["enabled"] and request["autoStartConfiguration"]["enabled"]
        assert request["maximumCapacity"]["cpu"].endswith(" vCPU")


def test_a_serverless_job_is_tried_once_within_its_limit_and_brings_its_python() -> None:
    run = serverless_job(SETTINGS[1], "clean", CODE, REQUEST_URI)["run"]
    assert run["retryPolicy"] == {"maxAttempts": 1} and run["executionTimeoutMinutes"] > 0
    parameters = run["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]
    assert "--py-files s3://processed-bucket/artifacts/0a1b/spark_jobs.zip" in parameters
    archive = f"spark.archives={SETTINGS[1].emr_serverless.python_archive}#environment"
    assert archive in parameters
    for where in ("emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON", "executorEnv.PYSPARK_PYTHON"):
        assert f"spark.{where}=./environment/bin/python" in parameters
    monitoring = run["configurationOverrides"]["monitoringConfiguration"]
    assert monitoring["s3MonitoringConfiguration"]["logUri"] == SETTINGS[1].emr_serverless.log_uri


def test_a_glue_job_is_airflows_to_retry_and_to_schedule() -> None:
    definition = job_definition(SETTINGS[1], "clean", CODE)
    assert definition["MaxRetries"] == 0
    assert definition["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert definition["Command"]["ScriptLocation"] == "s3://processed-bucket/artifacts/0a1b/jobs/clean.py"
    arguments = definition["DefaultArguments"]
    assert arguments["--extra-py-files"] == "s3://processed-bucket/artifacts/0a1b/spark_jobs.zip"
    assert arguments["--additional-python-modules"].endswith("/0a1b/glue_requirements.txt")
    assert arguments["--python-modules-installer-option"] == "-r"


def test_glue_takes_several_spark_properties_in_one_value() -> None:
    glue = replace(SETTINGS[0].glue, spark_properties={"a": "1", "b": "2"})
    definition = job_definition(replace(SETTINGS[0], glue=glue), "clean", CODE)
    assert definition["DefaultArguments"]["--conf"] == "a=1 --conf b=2"


def test_every_engine_runs_the_same_script_on_the_same_request() -> None:
    for engine in Engine:
        text = str(engine.request(SETTINGS[1], "clean", CODE, REQUEST_URI))
        assert "s3://processed-bucket/artifacts/0a1b/jobs/clean.py" in text
        assert "--request" in text and str(REQUEST_URI) in text


def test_jobs_are_looked_for_where_their_engine_runs_them() -> None:
    scopes = {engine: engine.scope(SETTINGS[1], "clean") for engine in Engine}
    assert scopes == {
        Engine.EMR: "",  # the cluster of the run
        Engine.EMR_SERVERLESS: "nexus-llm-spark-prod",
        Engine.GLUE: "nexus-llm-prod-clean",
    }


def test_on_demand_training_has_no_wait_time() -> None:
    limits = TrainingLimits(False, 3600, 7200)
    job = training_job(SETTINGS[0], REQUEST, WRITTEN, CORPUS, limits).request
    assert job["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in job["StoppingCondition"]


def test_spot_that_may_wait_less_than_it_may_run_is_refused() -> None:
    with pytest.raises(SettingsError, match="max_wait_seconds"):
        TrainingLimits(True, 3600, 60)


def test_the_service_sync_never_gets_the_trainers_checkpoints() -> None:
    job = training_job(SETTINGS[0], REQUEST, WRITTEN, CORPUS, SPOT).request
    assert job["CheckpointConfig"]["S3Uri"] == "s3://models-bucket/runs/r/cache/"
    assert job["Environment"]["NEXUS_CHECKPOINT_URI"] == "s3://models-bucket/runs/r/checkpoints/"


def test_base_model_becomes_a_channel() -> None:
    request = replace(REQUEST, base_model_uri="s3://models-bucket/base/")
    job = training_job(SETTINGS[0], request, WRITTEN, CORPUS, SPOT).request
    names = [channel["ChannelName"] for channel in job["InputDataConfig"]]
    assert names == ["tokens", "tokenizer", "base_model"]


def test_a_failed_revision_is_rolled_back_and_the_old_one_stays_at_full_strength() -> None:
    deployment = update_service(SETTINGS[0], "arn")["deploymentConfiguration"]
    assert deployment["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert deployment["minimumHealthyPercent"] == 100


def test_the_content_of_the_training_request_is_part_of_the_record_of_the_job() -> None:
    """The request has one address for all tries: its address alone does not tell two of them apart."""
    jobs = [training_job(SETTINGS[0], REQUEST, replace(WRITTEN, sha256=c * 64), CORPUS, SPOT) for c in "bc"]
    hashes = {request_hash(to_plain(job)) for job in jobs}
    assert len(hashes) == 2


def test_two_environments_share_no_name_that_they_create() -> None:
    """The settings differ in the name of the environment alone."""
    one, other = replace(SETTINGS[0], name="blue"), replace(SETTINGS[0], name="green")
    for name in (
        lambda s: s.package_group,
        lambda s: s.crawler,
        lambda s: s.database,
        lambda s: application_request(s)["name"],
        lambda s: job_definition(s, "clean", CODE)["Name"],
        lambda s: crawler_request(s, CorpusLayout.of("b", "v"))["DatabaseName"],
        lambda s: latest_corpus(s, S3Uri("raw", ""), CorpusRecipe("standard")),
    ):
        assert name(one) != name(other)
