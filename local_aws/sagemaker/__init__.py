"""SageMaker: training and processing jobs that run on this machine, and the Model Registry."""
