// What Resources/example.json holds, and how numbers are compared with it.
import XCTest

struct Example: Codable {
    struct Entry: Codable {
        var shape: [Int] = []
        var values: [Double] = []
        var text: String = ""
        var keys: [String] = []
    }

    struct Step: Codable {
        var inputs: [String: Entry]
        var outputs: [String: Entry]
    }

    var tolerance: Double
    var steps: [Step]
}

extension XCTestCase {
    /// The root mean square of the differences, relative to that of the expected values; NaN fails.
    func compare(
        _ name: String, _ found: [Double], _ step: Example.Step, _ tolerance: Double, _ unit: String = ""
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
