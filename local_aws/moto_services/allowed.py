"""The operations that moto may answer.

moto answers many more, but most of them have no effect: a CloudFormation stack reports CREATE_COMPLETE and
creates nothing, and a Batch job never runs. An operation belongs here if storing a resource and returning it
is all that the operation must do, and if a test in ``tests/local_aws/moto_services`` shows that it works.
"""

from __future__ import annotations

_ALARMS_AND_METRICS = (
    "DeleteAlarms", "DeleteDashboards", "DescribeAlarms", "DescribeAlarmsForMetric", "GetDashboard",
    "GetMetricData", "GetMetricStatistics", "ListDashboards", "ListMetrics", "ListTagsForResource",
    "PutDashboard", "PutMetricAlarm", "PutMetricData", "SetAlarmState", "TagResource", "UntagResource",
)  # fmt: skip
_CATALOGUE = (
    "BatchCreatePartition", "BatchDeletePartition", "BatchDeleteTable", "BatchGetPartition",
    "BatchUpdatePartition", "CreateDatabase", "CreatePartition", "CreateTable", "DeleteDatabase",
    "DeletePartition", "DeleteTable", "GetDatabase", "GetDatabases", "GetPartition", "GetPartitions",
    "GetTable", "GetTableVersion", "GetTableVersions", "GetTables", "UpdateDatabase", "UpdatePartition",
    "UpdateTable",
)  # fmt: skip
_ROLES_AND_POLICIES = (
    "AddRoleToInstanceProfile", "AttachRolePolicy", "CreateInstanceProfile", "CreatePolicy", "CreateRole",
    "DeleteInstanceProfile", "DeletePolicy", "DeleteRole", "DeleteRolePolicy", "DetachRolePolicy",
    "GetInstanceProfile", "GetPolicy", "GetPolicyVersion", "GetRole", "GetRolePolicy",
    "ListAttachedRolePolicies", "ListInstanceProfiles", "ListPolicies", "ListRolePolicies", "ListRoles",
    "PutRolePolicy", "RemoveRoleFromInstanceProfile",
)  # fmt: skip
_LOG_EVENTS = (
    "CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DescribeLogGroups",
    "DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "PutLogEvents",
)  # fmt: skip
_SECRETS = (
    "CreateSecret", "DeleteSecret", "DescribeSecret", "GetSecretValue", "ListSecretVersionIds", "ListSecrets",
    "PutSecretValue", "RestoreSecret", "UpdateSecret",
)  # fmt: skip
_TOPICS = (
    "CreateTopic", "DeleteTopic", "GetSubscriptionAttributes", "GetTopicAttributes", "ListSubscriptions",
    "ListSubscriptionsByTopic", "ListTopics", "Publish", "PublishBatch", "SetTopicAttributes", "Subscribe",
    "Unsubscribe",
)  # fmt: skip
_QUEUES = (
    "ChangeMessageVisibility", "CreateQueue", "DeleteMessage", "DeleteMessageBatch", "DeleteQueue",
    "GetQueueAttributes", "GetQueueUrl", "ListQueues", "PurgeQueue", "ReceiveMessage", "SendMessage",
    "SendMessageBatch", "SetQueueAttributes",
)  # fmt: skip
_PARAMETERS = (
    "DeleteParameter", "DeleteParameters", "DescribeParameters", "GetParameter", "GetParameterHistory",
    "GetParameters", "GetParametersByPath", "PutParameter",
)  # fmt: skip

ALLOWED: dict[str, frozenset[str]] = {
    "cloudwatch": frozenset(_ALARMS_AND_METRICS),
    "glue": frozenset(_CATALOGUE),
    "iam": frozenset(_ROLES_AND_POLICIES),
    "logs": frozenset(_LOG_EVENTS),
    "secretsmanager": frozenset(_SECRETS),
    "sns": frozenset(_TOPICS),
    "sqs": frozenset(_QUEUES),
    "ssm": frozenset(_PARAMETERS),
}
"""The allowed operations by service. The names are those of boto3 and botocore."""
