"""The work after a call: a summary and structured data, made once, by whichever worker has a hand free.

`calliope.evt.*.call.*.ended` wakes it through the durable `call-worker-analysis`, which all workers share
(`adapters/analysis_work.py`). Few at once per worker, none while it drains; who works on a call says so every few
seconds, so a slow model is waited for by one worker only, and a dead worker's call comes back after `ack_wait`.

The call's own journal says whether the work is done: with an `analyzed` in it there is nothing to do. Else the result
is appended under the server's check that nobody appended since (`job.py`). So a job that was done twice, after a crash
or a lost connection, has one event, and the next sequence is right.

The call is analysed with the revision of the assistant that took it (`adapters/pins.py` keeps it, secrets sealed); if
that is not kept, with the assistant as it is now; if that is deleted, it has failed and says so.

Two questions to the assistant's own chain of models, at temperature 0 (`analyst.py`): the summary as plain text, then,
when a schema or a prompt is set, the structured data. Two, because a schema then stays as its author wrote it, the
prompt may hold the summary, and a summary outlives data that cannot be had. The data is checked here whatever the
vendor promised; a wrong answer is shown to the model once, with what is wrong. A call without a word of its caller is
`skipped`.
"""
