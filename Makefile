# A thin wrapper: every target is a command of tools/dev.py. Written for GNU make 3.81, which macOS has.

# The first Python that runs may be old: dev.py finds the best one for the course itself.
PYTHONS = .venv/bin/python python3.14 python3.13 python3.12 python3.11 python3 python
RUNS = -c 'import sys; sys.exit(sys.version_info < (3, 6))'
dev = @for python in $(PYTHONS); do \
	if $$python $(RUNS) >/dev/null 2>&1; then exec $$python tools/dev.py $@; fi; \
	done; \
	echo "No Python was found: install Python 3.11 to 3.14 (python.org, or your system's packages) and run this again." >&2; \
	exit 1

export OPEN PORT TORCH_BACKEND PEER REPO N ASSIGNMENT ARGS
# dev.py makes these absolute, because kernels run in other folders
export VAE_COURSE_DATA VAE_COURSE_CACHE CELEBA_ROOT SUBMISSIONS

.PHONY: help lab test exercise progress check edit notebooks test-all check-report bench release grade
.PHONY: constraints wheel wheelhouse publish unpublish clean

help: ## this list
	$(dev)
lab: ## set up and open JupyterLab on your copies in my_work/ (OPEN=0 no browser, PORT=, TORCH_BACKEND=cpu)
	$(dev)
test: ## set up and run the tests, every lesson included (ARGS= goes to pytest)
	$(dev)
exercise: ## copy an exercise sheet to my_work/exercises/ (N=04)
	$(dev)
progress: ## a page of what the checks found in your sheets so far
	$(dev)
release: ## for teachers: a sheet to hand out, as a folder and a zip (ASSIGNMENT=04)
	$(dev)
grade: ## for teachers: grade what was handed in (SUBMISSIONS=folder)
	$(dev)
check: ## lint, types, stale notebooks and the quick tests
	$(dev)
edit: ## for maintainers: JupyterLab on the lessons themselves, .py and .ipynb written together
	$(dev)
notebooks: ## build and execute the notebooks whose source changed (ARGS=--all, or names)
	$(dev)
test-all: ## the long tests, on the full data
	$(dev)
check-report: ## hold every check against right and wrong answers (ARGS=--long for 500 seeds)
	$(dev)
bench: ## compare with another implementation on this machine (PEER=its folder)
	$(dev)
constraints: ## decide the package versions anew (ARGS=--upgrade for the newest)
	$(dev)
wheel: ## build dist/vae_course-*.whl
	$(dev)
wheelhouse: ## fetch all packages into wheelhouse/, for a classroom without internet
	$(dev)
publish: ## write the repository's address into badges and set-up cells (REPO=owner/name)
	$(dev)
unpublish: ## take the address out again
	$(dev)
clean: ## remove .venv, builds and caches; my_work/ stays
	$(dev)
