"""What runs inside a training, evaluation or export job."""
