"""What the model may do besides speaking: the offer, the check of arguments, the effects."""
