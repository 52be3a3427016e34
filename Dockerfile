FROM python:3.13-slim AS build
RUN python -m venv /opt/training-reset
WORKDIR /build
COPY constraints.txt pyproject.toml README.md cli.py ./
COPY commands commands
COPY jobs jobs
COPY worker worker
RUN /opt/training-reset/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home training-reset
COPY --from=build /opt/training-reset /opt/training-reset
ENV PATH=/opt/training-reset/bin:$PATH PYTHONUNBUFFERED=1
USER training-reset
CMD ["training-reset", "worker"]
