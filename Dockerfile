# Rayfold in a container: every command, and what the services of compose.yaml run.
# Build: docker build -t rayfold .
# Run:   docker run --rm -v "$PWD/runs:/work/runs" --shm-size=2g rayfold train +experiment=planted_signal
# Base images are pinned by tag; write their digests behind the tags (`docker buildx imagetools inspect TAG`) to pin bytes.

FROM python:3.11.13-slim-bookworm AS build
RUN python -m venv /opt/rayfold
ENV PATH=/opt/rayfold/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/src
# Without a GPU torch's CPU build does, a tenth of the size: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=https://pypi.org/simple
ARG EXTRAS=postgres,vendors,supervised,search
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple -c requirements.lock torch
COPY conf conf
COPY data data
COPY envs envs
COPY policies policies
COPY evaluation evaluation
COPY rayjobs rayjobs
RUN pip install -c requirements.lock ".[$EXTRAS]" optuna-dashboard

FROM python:3.11.13-slim-bookworm
# libgomp: OpenMP of LightGBM and XGBoost.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 rayfold && install -d -o rayfold /work /work/runs /var/lib/rayfold
COPY --from=build /opt/rayfold /opt/rayfold
# One thread per process, Ray starts the processes; the local copy of runs at a URI lies in RAYFOLD_CACHE.
ENV PATH=/opt/rayfold/bin:$PATH OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 RAYFOLD_CACHE=/var/lib/rayfold
USER rayfold
WORKDIR /work
EXPOSE 8050
ENTRYPOINT ["rayfold"]
CMD ["--help"]
