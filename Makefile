# Everything works from a fresh clone on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PACKAGES := shared services/gateway services/assistants services/call-worker services/webhooks services/sandbox deploy/local deploy/admin
SOURCES := $(PACKAGES:%=%/src)
# scenes of many minutes: the time after which a test counts as hung
LONG := -o faulthandler_timeout=3600
ASSISTANT ?=
VOICE ?=
ARGS ?=
# only what is given to make itself: shells have an ENV of their own
given = $(if $(filter command line,$(origin $1)),$2 '$(subst ','\'',$($1))')
# $(call reads,FILE NUMBER): anything else that is given to make itself is refused instead of ignored
reads = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(if \
	$(filter $1 PYTHON VENV SHELL,$(name)),,$(error $(name) is not read by $@; $(if $1,did you mean $(meant)? It reads $1,it reads none)))))
meant = $(shell $(PYTHON) -c 'import difflib, sys; a, *b = sys.argv[1:]; print((difflib.get_close_matches(a, b) or b)[0])' '$(name)' $1)

.PHONY: help demo demo-soak try up assistant call down check test chaos test-heard soak bench snapshots lock clean
help: ## what there is
	$(call reads,)
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Calliope needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

demo: $(READY) ## one whole phone call on a local stack, no key, no account; MODEL=anthropic SLOPPY=4 for odd vendors
	$(call reads,ASSISTANT VOICE MODEL SLOPPY)
	@$(BIN)/python -m calliope_local demo $(if $(ASSISTANT),--assistant $(ASSISTANT)) $(if $(VOICE),--voice) \
		$(call given,MODEL,--model) $(call given,SLOPPY,--sloppy)

try: $(READY) ## play assistants with their calls, ASSISTANT='mine/*.json': a line each, JUnit in JUNIT=.calliope/try.xml
	$(call reads,ASSISTANT JUNIT AT_ONCE MODEL SLOPPY)
	@$(BIN)/python -m calliope_local try $(if $(ASSISTANT),'$(ASSISTANT)') $(call given,JUNIT,--junit) \
		$(call given,AT_ONCE,--at-once) $(call given,MODEL,--model) $(call given,SLOPPY,--sloppy)

up: $(READY) ## the local stack in the foreground; ENV=.env PUBLIC_URL=https://… LLM=http://…/v1 make parts of it real
	$(call reads,ENV PUBLIC_URL LLM LLM_MODEL LLM_API_KEY)
	@$(BIN)/python -m calliope_local up $(call given,ENV,--env-file) $(call given,PUBLIC_URL,--public-url) \
		$(call given,LLM,--llm) $(call given,LLM_MODEL,--llm-model) $(call given,LLM_API_KEY,--llm-api-key)

assistant: $(READY) ## FILE=my.json [NUMBER=+1…]: the assistant of a file, on the stack of `make up`, with a number
	$(call reads,FILE NUMBER CARRIER)
	@$(BIN)/python -m calliope_local assistant $(call given,FILE,--file) $(call given,NUMBER,--number) \
		$(call given,CARRIER,--carrier)

call: $(READY) ## NUMBER=+1… [TEXT="hello"] [SCRIPT=my.call.json] [VOICE=1]: call it; without TEXT or SCRIPT, type
	$(call reads,NUMBER TEXT SCRIPT VOICE)
	@$(BIN)/python -m calliope_local call $(call given,NUMBER,--number) $(call given,SCRIPT,--script) \
		$(call given,TEXT,--text) $(if $(VOICE),--voice)

down: $(READY) ## stop a stack that `make up` started
	$(call reads,)
	@$(BIN)/python -m calliope_local down

check: $(READY) ## format, lint, types, import rules, contract snapshots
	$(call reads,)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES) tests
	$(BIN)/python -m pytest -q tests/contract --ignore tests/contract/providers --ignore tests/contract/twins

# three processes where tests mostly wait for servers that they started; two for calls in real time, each with a stack of
# its own: with more of them two cores are too busy for a vendor's deadline
test: $(READY) ## all tests but those of `chaos` and `soak`; ARGS="tests/unit -k interrupted" for some of them
	$(call reads,ARGS)
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest -q --numprocesses 3 --dist loadfile tests/unit tests/contract tests/integration
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile -m "smoke or not (chaos or soak)" tests/e2e tests/chaos tests/install
else
	$(BIN)/python -m pytest -q -m "smoke or not (chaos or soak)" $(ARGS)
endif

chaos: $(READY) ## 50 live calls while processes are killed, deployed over, away or slow; ARGS="-k away --calls 10"; two hours
	$(call reads,ARGS)
	$(BIN)/python -m pytest -q $(LONG) tests/chaos -m chaos --calls 50 --kills 200 --deploys 20 --bus-restarts 10 --store-restarts 5 \
		--away-s 120 --pause-s 15 $(ARGS)

test-heard: $(READY) ## a thousand interruptions, 800 answers that break: what was heard against the record; ARGS="-k killed --breaks 20"
	$(call reads,ARGS)
	$(BIN)/python -m pytest -q -s $(LONG) tests/e2e/test_heard_text.py tests/e2e/test_heard_when_it_breaks.py \
		--interruptions 1000 --breaks 100 $(ARGS)

demo-soak: $(READY) ## 100 demonstrations (COUNT=…) beside a busy core: how many succeeded, and why any failed; an hour
	$(call reads,COUNT)
	@$(BIN)/python -m calliope_local demo-soak $(call given,COUNT,--count)

soak: $(READY) ## a thousand clean calls without one false alarm, 200 with sloppy vendors; minutes
	$(call reads,ARGS)
	$(BIN)/python -m pytest -q $(LONG) tests/e2e -m soak $(ARGS)

bench: $(READY) ## measure concurrent calls on one core; minutes
	$(call reads,ARGS)
	$(BIN)/python -m calliope_local bench $(ARGS)

snapshots: $(READY) ## write contract snapshots and tables of the docs anew; their diff is the review of a contract
	$(call reads,)
	PYTHONPATH=tests $(BIN)/python -m contract.snapshot

lock: ## choose dependencies anew
	$(call reads,)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-emit-package calliope-shared --no-emit-package calliope-gateway --no-emit-package calliope-assistants \
		--no-emit-package calliope-call-worker --no-emit-package calliope-webhooks --no-emit-package calliope-sandbox \
		--no-emit-package calliope-local --no-emit-package calliope-admin \
		$(PACKAGES:%=%/pyproject.toml) requirements-dev.in -o requirements.lock

clean: ## remove what was installed and stored here
	$(call reads,)
	rm -rf $(VENV) .calliope .mypy_cache .ruff_cache .pytest_cache .hypothesis
