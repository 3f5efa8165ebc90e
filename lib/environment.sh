#!/bin/sh
# Make an environment ready, or run the doctor: `sh lib/environment.sh ready|doctor FOLDER`, called by the Makefile.
# FOLDER is .venv, or the environment that is active, which is never replaced. PYTHON names another Python.
# A file in the environment says that an installation was finished; without it nothing counts as ready.
set -eu
task=$1 environment=$2
python=$environment/bin/python
ready=$environment/.twins-ready

stop() {
  echo "error: $1" >&2
  exit 1
}

doctor() { # PYTHON ARGUMENTS: the one module that runs before anything is installed
  found=$1
  shift
  PYTHONPATH=lib "$found" -m twins.machine.doctor "$@"
}

usable() { # a Python that does not start at all, as pyenv's for versions that are not chosen, is not one
  doctor "$1" --python >/dev/null 2>&1
}

choose() { # the first Python that can be used, in `chosen`; what is wrong with the others in `others`
  chosen='' others=''
  if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.11 python3.12 python3; fi
  for candidate; do
    if usable "$candidate"; then
      chosen=$candidate
      return
    fi
    told=$(doctor "$candidate" --python 2>/dev/null || true)
    [ -z "$told" ] || others="$others${others:+, }$candidate ($told)"
  done
}

need() { # stop in one sentence when no Python can be used
  [ -n "$chosen" ] || stop "Python 3.11 or 3.12 is needed, on a Mac one for arm64, found ${others:-none that runs}; \`brew install python@3.11\`, \
conda or https://www.python.org/downloads bring one, and PYTHON=path names one that is not on PATH; nothing was made"
}

if [ "$task" = doctor ]; then
  if usable "$python"; then chosen=$python; else choose; fi
  if [ -z "$chosen" ] && doctor python3 --python 2>/dev/null | grep -q .; then chosen=python3; fi
  need
  if [ -e "$ready" ]; then doctor "$chosen"; else doctor "$chosen" --install; fi
  exit
fi

own() { [ "$environment" = .venv ]; }

stale='' # why .venv is made anew; an installation that never finished may have left halves of packages
if own && [ -e .venv ]; then
  if ! usable "$python"; then
    told=$(doctor "$python" --python 2>/dev/null || true)
    stale="its Python is ${told:-broken}"
  elif [ ! -e "$ready" ]; then
    stale='its installation was never finished'
  fi
fi
newer=''
for list in lib/*/pyproject.toml constraints.txt lib/hashes.txt; do
  [ ! "$list" -nt "$ready" ] || newer=$list
done
if [ -z "$stale" ] && [ -e "$ready" ] && [ -z "$newer" ]; then
  mkdir -p build/tmp
  exit
fi

if own && { [ -n "$stale" ] || [ ! -e .venv ]; }; then
  choose
  need
else
  chosen=$python
fi
if [ ! -e "$ready" ] || [ -n "$stale" ]; then
  doctor "$chosen" --refuse --install
fi
if [ -n "$stale" ]; then
  echo ".venv is replaced: $stale"
  rm -rf .venv
fi
mkdir -p build/tmp
if [ ! -e "$python" ] && ! "$chosen" -m venv .venv; then
  rm -rf .venv
  stop "$chosen cannot make an environment (on Debian the package python3-venv is needed); nothing was made"
fi
echo "installing into $environment, about 2 GB"
# Some builds of Python take macOS 26 for "16.0", and pip then installs MLX's wheel for an older system.
# pip compiles modules on one core; compileall takes all, and fails at templates that are no Python. A third of the
# text is what few runs import: tests, and transformers' architectures; Python compiles those that one does.
install() {
  SYSTEM_VERSION_COMPAT=0 "$python" -m pip install --quiet --disable-pip-version-check --no-compile "$@" ||
    stop "the installation did not finish, so nothing counts as ready; \`make setup\` begins it again"
}
# pip takes no hashes for packages in place, so what is fetched comes first and by its hashes; after it only PyTorch.
install --require-hashes --no-deps -r lib/hashes.txt
install --no-build-isolation -c constraints.txt \
  -e lib/mlx_startup -e lib/coreml_runtime -e lib/mlx_coreml -e 'lib/twins[test]'
"$python" -c 'import compileall, re, sysconfig
rare = re.compile("/tests?/|/torch/testing/|/transformers/models/|/pip/")
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0, rx=rare)'
touch "$ready"
