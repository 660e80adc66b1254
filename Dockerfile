# The service alone, without the embedded MongoDB; docker-compose.yml brings a database.
FROM python:3.13-slim AS build
RUN python -m venv /opt/chatvault
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/chatvault/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home chatvault
COPY --from=build /opt/chatvault /opt/chatvault
ENV PATH=/opt/chatvault/bin:$PATH PYTHONUNBUFFERED=1 CHATVAULT_HOST=0.0.0.0
USER chatvault
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=3)"]
ENTRYPOINT ["chatvault"]
CMD ["serve"]
