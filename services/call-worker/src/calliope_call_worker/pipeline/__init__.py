"""What a call decides and computes without waiting for anything: turns, sentences, what was heard."""
