# The service alone, without the embedded MongoDB; docker-compose.yml brings a database.
FROM python:3.13-slim AS build
WORKDIR /source
RUN python -m venv /opt/build && ln -s /opt/build .venv && python -m venv /opt/chatvault
COPY requirements requirements
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
 && /opt/chatvault/bin/pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY scripts scripts
COPY tests/programs/node.txt tests/programs/
COPY ui ui
COPY src src
# The web page: with a Node from PyPI, which stays behind in this stage.
RUN .venv/bin/python scripts/_ui.py build
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/chatvault/bin/pip install --no-cache-dir --no-deps /wheel/*.whl

FROM python:3.13-slim
# Fonts for exports as PDF: other scripts, Chinese, Japanese and Korean, emoji.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home chatvault \
    && install --directory --owner=chatvault --group=chatvault --mode=700 /var/lib/chatvault
COPY --from=build /opt/chatvault /opt/chatvault
ENV PATH=/opt/chatvault/bin:$PATH PYTHONUNBUFFERED=1 CHATVAULT_HOST=0.0.0.0
USER chatvault
EXPOSE 8000
# Asks where the service listens, and through no proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection(os.environ.get('CHATVAULT_HOST', '127.0.0.1'), int(os.environ.get('CHATVAULT_PORT', '8000')), timeout=4); c.request('GET', '/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["chatvault"]
CMD ["serve"]
