// Made by twins from a package's interface. `swift test` compares what Core ML computes with stored values.
import CoreML
import CoreVideo
import Foundation

/// __SUMMARY__
public struct __NAME__ {
    /// What went wrong between this file and the model it was made for.
    public enum Failure: Error {
        case missingResource(String)
        case missingOutput(String)
        case noPixelBuffer(CVReturn)
    }

    /// What the model takes.
    public struct Input {
__INPUT_FIELDS__

        public init(__PARAMETERS__) {
__ASSIGNMENTS__
        }

        /// Zeros, and black pictures, in the default shapes.
        public static func blank() throws -> Input {
            Input(__BLANKS__)
        }

        func provider() throws -> MLDictionaryFeatureProvider {
            try MLDictionaryFeatureProvider(dictionary: [__FEATURES__])
        }
    }

    /// What the model returns.
    public struct Output {
__OUTPUT_FIELDS__

        init(_ provider: any MLFeatureProvider) throws {
__READS__
        }
    }

    public let model: MLModel

    public init(model: MLModel) {
        self.model = model
    }

    /// Compiles the package that comes with this library, which takes a while the first time, and loads it.
    public static func load(
        configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> __NAME__ {
        let found = Bundle.module.url(forResource: "Model", withExtension: "mlpackage")
        guard let source = found else { throw Failure.missingResource("Model.mlpackage") }
        let compiled = try await MLModel.compileModel(at: source)
        return try await load(compiled: compiled, configuration: configuration)
    }

    /// Loads a model that Xcode or `xcrun coremlcompiler` compiled (.mlmodelc).
    public static func load(
        compiled: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> __NAME__ {
__FUNCTION__        let model = try await MLModel.load(contentsOf: compiled, configuration: configuration)
        return __NAME__(model: model)
    }

__PREDICTIONS__

    /// A picture of one colour or none, ready for pixels: `format` as kCVPixelFormatType_32BGRA.
    public static func pixels(width: Int, height: Int, format: OSType) throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        let status = CVPixelBufferCreate(kCFAllocatorDefault, width, height, format, nil, &made)
        guard let buffer = made else { throw Failure.noPixelBuffer(status) }
        CVPixelBufferLockBaseAddress(buffer, [])
        if let base = CVPixelBufferGetBaseAddress(buffer) {
            memset(base, 0, CVPixelBufferGetBytesPerRow(buffer) * height)
        }
        CVPixelBufferUnlockBaseAddress(buffer, [])
        return buffer
    }
}
