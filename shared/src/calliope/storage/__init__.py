"""Calls to a document store: deadlines, what errors mean. Only `mongo_errors` needs a driver, the extra `mongo`."""
