"""The services that moto answers: how it is called, which operations it may answer, how its state is kept."""
