"""`make call`: somebody calls an assistant of the running stack, by a script or as it is typed."""
