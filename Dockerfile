FROM python:3.13.14-slim AS build
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/intake
RUN /opt/intake/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/uv.txt
RUN /opt/intake/bin/uv pip install --no-cache --python /opt/intake/bin/python --compile-bytecode --require-hashes -r requirements/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic alembic
COPY intake intake
COPY leadctl leadctl
RUN /opt/intake/bin/uv pip install --no-cache --python /opt/intake/bin/python --compile-bytecode --no-deps --build-constraints requirements/dev.txt .
RUN /opt/intake/bin/python -m pip uninstall --yes uv

FROM python:3.13.14-slim
RUN useradd --uid 10001 --home-dir /data --create-home intake
COPY --from=build /opt/intake /opt/intake
ENV PATH=/opt/intake/bin:$PATH \
    INTAKE_HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# liveness, not readiness: restarting this container would not help a database that is down
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["intake"]
CMD ["serve"]
