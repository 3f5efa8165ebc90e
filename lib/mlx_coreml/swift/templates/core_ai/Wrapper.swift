// Made by twins from an asset's interface. `swift test` compares what Core AI computes with stored values.
import CoreAI
import Foundation

/// __SUMMARY__
public struct __NAME__ {
    /// What went wrong between this file and the asset it was made for.
    public enum Failure: Error {
        case missingResource(String)
        case missingFunction(String)
        case missingOutput(String)
        case otherType(String)
    }

    /// What the model takes: the numbers of each array, row after row.
    public struct Input {
__INPUT_FIELDS__

        public init(__PARAMETERS__) {
__ASSIGNMENTS__
        }

        /// Zeros.
        public static func blank() -> Input {
            Input(__BLANKS__)
        }

        func arrays() -> [String: NDArray] {
            [
                __ARRAYS__
            ]
        }
    }

    /// What the model returns: the numbers of each array, row after row.
    public struct Output {
__OUTPUT_FIELDS__

        init(_ outputs: inout InferenceFunction.Outputs) throws {
__READS__
        }
    }

    public let function: InferenceFunction

    public init(function: InferenceFunction) {
        self.function = function
    }

    /// Specializes the asset that comes with this library for this device, which takes a while the first time.
    public static func load(options: SpecializationOptions = .default) async throws -> __NAME__ {
        let found = Bundle.module.url(forResource: "Model", withExtension: "aimodel")
        guard let source = found else { throw Failure.missingResource("Model.aimodel") }
        let model = try await AIModel(contentsOf: source, options: options)
        guard let function = try model.loadFunction(named: "main") else { throw Failure.missingFunction("main") }
        return __NAME__(function: function)
    }

    /// One prediction.
    public func predict(_ input: Input) async throws -> Output {
        var outputs = try await function.run(inputs: input.arrays())
        return try Output(&outputs)
    }
}

/// The numbers of an array row after row: its strides may leave gaps.
private func gather<Scalar>(
    _ start: UnsafePointer<Scalar>, _ shape: Span<Int>, _ strides: Span<Int>, into numbers: inout [Scalar]
) {
    var count = 1
    for axis in 0..<shape.count { count *= shape[axis] }
    numbers.reserveCapacity(count)
    for position in 0..<count {
        var (left, offset) = (position, 0)
        for axis in stride(from: shape.count - 1, through: 0, by: -1) {
            offset += (left % shape[axis]) * strides[axis]
            left /= shape[axis]
        }
        numbers.append(start[offset])
    }
}
