// Runs a raw TensorRT plan with TensorRT's and CUDA's libraries alone; nothing of this project.
//
//   g++ -std=c++17 plan_consumer.cpp -lnvinfer -lcudart -o plan_consumer
//   ./plan_consumer engine.plan BATCH SIDE images.raw
//
// images.raw: uint8 [BATCH, SIDE, SIDE, 3] RGB. Each output goes to NAME.raw, float32.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace {

class Log : public nvinfer1::ILogger {
    void log(Severity severity, char const* message) noexcept override {
        if (severity <= Severity::kWARNING) std::cerr << message << '\n';
    }
};

[[noreturn]] void fail(std::string const& what) {
    std::cerr << what << '\n';
    std::exit(1);
}

void check(cudaError_t status, char const* what) {
    if (status != cudaSuccess) fail(std::string(what) + ": " + cudaGetErrorString(status));
}

std::vector<char> read(char const* path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(std::string("cannot read ") + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Output {
    std::string name;
    void* device;
    std::vector<char> host;
};

}  // namespace

int main(int count, char** words) {
    if (count != 5) fail("usage: plan_consumer PLAN BATCH SIDE IMAGES");
    std::vector<char> const plan = read(words[1]), images = read(words[4]);
    nvinfer1::Dims shape{};
    shape.nbDims = 4;
    shape.d[0] = std::atoi(words[2]);
    shape.d[1] = shape.d[2] = std::atoi(words[3]);
    shape.d[3] = 3;
    if (static_cast<int64_t>(images.size()) != shape.d[0] * shape.d[1] * shape.d[2] * 3)
        fail("the images have another size than BATCH * SIDE * SIDE * 3 bytes");

    Log log;
    std::unique_ptr<nvinfer1::IRuntime> runtime{nvinfer1::createInferRuntime(log)};
    if (!runtime) fail("TensorRT does not start");
    std::unique_ptr<nvinfer1::ICudaEngine> engine{
        runtime->deserializeCudaEngine(plan.data(), plan.size())};
    if (!engine) fail("the plan is not for this GPU and TensorRT version");
    std::unique_ptr<nvinfer1::IExecutionContext> context{engine->createExecutionContext()};
    if (!context) fail("no room for an execution context");
    if (!context->setInputShape("image", shape)) fail("the plan does not take this shape");

    cudaStream_t stream;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    void* image = nullptr;
    check(cudaMalloc(&image, images.size()), "cudaMalloc");
    check(cudaMemcpyAsync(image, images.data(), images.size(), cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
    if (!context->setTensorAddress("image", image)) fail("the address was refused");

    std::vector<Output> outputs;
    for (int32_t index = 0; index < engine->getNbIOTensors(); ++index) {
        char const* name = engine->getIOTensorName(index);
        if (engine->getTensorIOMode(name) != nvinfer1::TensorIOMode::kOUTPUT) continue;
        if (engine->getTensorDataType(name) != nvinfer1::DataType::kFLOAT)
            fail(std::string(name) + " is not float32");
        nvinfer1::Dims const dims = context->getTensorShape(name);
        size_t size = sizeof(float);
        for (int32_t axis = 0; axis < dims.nbDims; ++axis) size *= static_cast<size_t>(dims.d[axis]);
        void* device = nullptr;
        check(cudaMalloc(&device, size), "cudaMalloc");
        if (!context->setTensorAddress(name, device)) fail("the address was refused");
        outputs.push_back({name, device, std::vector<char>(size)});
    }
    if (!context->enqueueV3(stream)) fail("the run was refused");
    for (Output& output : outputs)
        check(cudaMemcpyAsync(output.host.data(), output.device, output.host.size(),
                              cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    for (Output const& output : outputs) {
        std::ofstream file(output.name + ".raw", std::ios::binary);
        file.write(output.host.data(), static_cast<std::streamsize>(output.host.size()));
        if (!file) fail("cannot write " + output.name + ".raw");
        check(cudaFree(output.device), "cudaFree");
        std::cout << output.name << ".raw: " << output.host.size() << " bytes\n";
    }
    check(cudaFree(image), "cudaFree");
    check(cudaStreamDestroy(stream), "cudaStreamDestroy");
}
