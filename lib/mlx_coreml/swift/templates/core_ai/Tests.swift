// The inputs and expected outputs in Resources/example.json were computed where this package was written.
import CoreAI
import XCTest
import __NAME__

struct Example: Codable {
    struct Entry: Codable {
        var shape: [Int] = []
        var values: [Double] = []
    }

    struct Step: Codable {
        var inputs: [String: Entry]
        var outputs: [String: Entry]
    }

    var tolerance: Double
    var steps: [Step]
}

final class ParityTests: XCTestCase {
    func testPredictionsAsTheSystemPlacesThem() async throws {
        try await check(.default, "as the system places it")
    }

    func testPredictionsOnEveryComputeUnit() async throws {
        for unit in ComputeUnitKind.availableKinds {
            try await check(SpecializationOptions(preferredComputeUnitKind: unit), "on \(unit)")
        }
    }

    func check(_ options: SpecializationOptions, _ unit: String) async throws {
        let found = Bundle.module.url(forResource: "example", withExtension: "json")
        let file = try XCTUnwrap(found)
        let example = try JSONDecoder().decode(Example.self, from: Data(contentsOf: file))
        let network = try await __NAME__.load(options: options)
        for step in example.steps {
            let input = __NAME__.Input(__TEST_INPUTS__)
            let output = try await network.predict(input)
__TEST_OUTPUTS__
        }
    }

    /// The root mean square of the differences, relative to that of the expected values; NaN fails.
    func compare(
        _ name: String, _ found: [Double], _ step: Example.Step, _ tolerance: Double, _ unit: String
    ) throws {
        let expected = try XCTUnwrap(step.outputs[name]).values
        XCTAssertEqual(found.count, expected.count, "\(name) \(unit)")
        guard found.count == expected.count else { return }
        var difference = 0.0
        var scale = 0.0
        for (a, b) in zip(found, expected) {
            difference += (a - b) * (a - b)
            scale += b * b
        }
        let limit = tolerance * max(scale.squareRoot(), 1e-30)
        XCTAssertLessThanOrEqual(difference.squareRoot(), limit, "\(name) \(unit)")
    }
}
