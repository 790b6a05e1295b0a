"""ECS services as local processes, rolled out like on AWS."""
