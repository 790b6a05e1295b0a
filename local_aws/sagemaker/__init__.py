"""SageMaker jobs that really run, and the Model Registry."""
