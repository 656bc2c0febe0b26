# The dashboard, for several people. See docs/deployment.md.
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) -t bcbp .
#   docker run --init -p 127.0.0.1:8501:8501 -v bcbp:/data bcbp
FROM python:3.12-slim

# For the smaller image without CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=https://pypi.org/simple

# The compiler is for the dense baseline that torch.compile makes.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 bcbp && install --directory --owner bcbp /data
WORKDIR /srv/bcbp

COPY requirements.txt .
# torch and torchvision from one index, in one go: wheels of two do not work together.
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.10" "torchvision>=0.25" \
    && pip install --no-cache-dir -r requirements.txt "Authlib>=1.3.2"

COPY streamlit_app.py LICENSE ./
COPY .streamlit/config.toml .streamlit/
COPY app app
COPY bcbp bcbp
COPY kernels kernels
COPY assets assets
# The user cannot write here: every process would compile our modules again, and ./data is where data sets are
# downloaded to.
RUN python -m compileall -q streamlit_app.py app bcbp kernels && ln --symbolic /data data

# Reports name the commit; the image has no .git to ask.
ARG COMMIT=
# Inside the container every address; what of it is reachable is for `docker run -p` to say. Without an address
# to show, Streamlit asks a server on the internet for the machine's own. What compilers and tuning cache goes to
# the volume, too.
ENV STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_BROWSER_SERVER_ADDRESS=localhost \
    HOME=/data \
    BCBP_HOME=/data \
    BCBP_SHARED=1 \
    BCBP_COMMIT=$COMMIT \
    TORCHINDUCTOR_CACHE_DIR=/data/.cache/torchinductor \
    PYTHONUNBUFFERED=1
USER bcbp
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "streamlit_app.py"]
