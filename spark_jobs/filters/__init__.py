"""Quality filters, one module per rule set: a document is dropped for the first rule that it violates."""
