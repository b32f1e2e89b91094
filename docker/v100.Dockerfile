# The V100 lane: TensorRT 10.4, the last that serves a V100, with CUDA 12 and cuDNN 9.
#   docker build -f docker/v100.Dockerfile -t trans3dhead:v100 .
#   docker run --gpus all -v "$PWD:/data" trans3dhead:v100 build bundle --runtime tensorrt
# Not yet built: docs/lanes.md says what was checked.
FROM nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04 AS build
# PyCUDA compiles against CUDA. A date in a package's version would be gone from the mirrors soon.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-dev python3-venv g++ \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/trans3dhead
ENV PATH=/opt/trans3dhead/bin:/usr/local/cuda/bin:$PATH CUDA_ROOT=/usr/local/cuda
WORKDIR /source
COPY constraints/v100.txt constraints/
RUN pip install --no-cache-dir -c constraints/v100.txt tensorrt-cu12 pycuda cuda-python
COPY . .
RUN pip install --no-cache-dir -c constraints/v100.txt '.[vision,gpu]' && pip check

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/trans3dhead /opt/trans3dhead
ENV PATH=/opt/trans3dhead/bin:$PATH
WORKDIR /data
ENTRYPOINT ["trans3dhead"]
CMD ["doctor"]
