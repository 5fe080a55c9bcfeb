"""Recording what every configuration of a space takes, in pieces that go on where the last one stopped."""
