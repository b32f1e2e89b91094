// Stands in for TensorRT 10's and 11's header: the declarations that plan_consumer.cpp uses, over a
// network that answers with the mean of each image. A plan is the text "plan".
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>

namespace nvinfer1 {

class Dims64 {
public:
    static constexpr int32_t MAX_DIMS{8};
    int32_t nbDims;
    int64_t d[MAX_DIMS];
};
using Dims = Dims64;

enum class DataType : int32_t { kFLOAT = 0, kUINT8 = 5 };
enum class TensorIOMode : int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
enum class ExecutionContextAllocationStrategy : int32_t { kSTATIC = 0 };

class ILogger {
public:
    enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
    virtual void log(Severity severity, char const* msg) noexcept = 0;
    virtual ~ILogger() = default;
};

class IExecutionContext {
public:
    virtual ~IExecutionContext() noexcept = default;
    bool setInputShape(char const* name, Dims const& dims) noexcept {
        mShape = dims;
        return std::string(name) == "image" && dims.nbDims == 4 && dims.d[0] <= 8;
    }
    Dims getTensorShape(char const* name) const noexcept {
        return std::string(name) == "image" ? mShape : Dims{2, {mShape.d[0], 413}};
    }
    bool setTensorAddress(char const* name, void* data) noexcept {
        mAddresses[name] = data;
        return data != nullptr;
    }
    bool enqueueV3(cudaStream_t stream) noexcept {
        if (mAddresses.size() != 2 || stream == nullptr) return false;
        int64_t const size = mShape.d[1] * mShape.d[2] * 3;
        auto const* image = static_cast<uint8_t const*>(mAddresses["image"]);
        auto* params = static_cast<float*>(mAddresses["params"]);
        for (int64_t item = 0; item < mShape.d[0]; ++item) {
            double sum = 0;
            for (int64_t pixel = 0; pixel < size; ++pixel) sum += image[item * size + pixel];
            for (int64_t index = 0; index < 413; ++index)
                params[item * 413 + index] = static_cast<float>(sum / static_cast<double>(size));
        }
        return true;
    }

private:
    Dims mShape{};
    std::map<std::string, void*> mAddresses;
};

class ICudaEngine {
public:
    virtual ~ICudaEngine() noexcept = default;
    int32_t getNbIOTensors() const noexcept { return 2; }
    char const* getIOTensorName(int32_t index) const noexcept { return index ? "params" : "image"; }
    TensorIOMode getTensorIOMode(char const* name) const noexcept {
        return std::string(name) == "image" ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    DataType getTensorDataType(char const* name) const noexcept {
        return std::string(name) == "image" ? DataType::kUINT8 : DataType::kFLOAT;
    }
    IExecutionContext* createExecutionContext(
        ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy::kSTATIC) noexcept {
        return new IExecutionContext;
    }
};

class IRuntime {
public:
    virtual ~IRuntime() noexcept = default;
    ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept {
        return size == 4 && std::memcmp(blob, "plan", 4) == 0 ? new ICudaEngine : nullptr;
    }
};

inline IRuntime* createInferRuntime(ILogger&) noexcept { return new IRuntime; }

}  // namespace nvinfer1
