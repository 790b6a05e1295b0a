"""One Arrow batch in, one out: what happens to the documents of a batch, drops counted by reason."""
