"""`make bench`: concurrent real-time calls against one call-worker on one core, the outside world on the other."""
